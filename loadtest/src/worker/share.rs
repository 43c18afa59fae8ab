//! A share: the part of a run's clients that one worker holds.

use serde::{Deserialize, Serialize};

/// Which of the run's clients are one worker's: every `of`-th, beginning with `index`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Share {
    pub(crate) index: usize,
    pub(crate) of: usize,
}

impl Share {
    /// Returns how many of `total` clients are this worker's.
    pub(crate) const fn count(self, total: usize) -> usize {
        total.saturating_sub(self.index).div_ceil(self.of)
    }

    /// Returns the number in the whole run of this worker's client `local`.
    pub(crate) const fn global(self, local: usize) -> usize {
        local * self.of + self.index
    }

    /// This worker's number of the client `global`, if it is one of its own.
    pub(crate) fn local(self, global: usize) -> Option<usize> {
        (global % self.of == self.index).then_some(global / self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every client belongs to exactly one worker, whatever their numbers.
    #[test]
    fn shares_cover_every_client_once() {
        for of in 1..5 {
            for total in 0..20 {
                let shares = (0..of).map(|index| Share { index, of });
                let mut clients: Vec<_> =
                    shares.flat_map(|share| (0..share.count(total)).map(move |local| share.global(local))).collect();
                clients.sort_unstable();
                assert_eq!(clients, (0..total).collect::<Vec<_>>());
            }
        }
        assert_eq!(Share { index: 1, of: 3 }.local(7), Some(2));
        assert_eq!(Share { index: 1, of: 3 }.local(8), None);
    }
}
