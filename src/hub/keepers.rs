//! Keepers: the channels that keep what was published. Who gives way when all keep too much, and what is too old.
//!
//! The budget is shared fairly: when it is exceeded, the largest histories lose their oldest publications until all
//! fit, and those below a fair share lose nothing. So a flood in one channel costs that channel its history, not the
//! others.

use super::channel::Channel;
use super::history::Budget;
use parking_lot::Mutex;
use std::sync::{Arc, Weak};

/// What is left free after channels had to give way, as one part of the budget: the work is done once per so many
/// bytes.
const FREED_PART: usize = 10;

/// Channels that a sweep looks at, at least; it never looks at fewer than a sixteenth of all.
const SWEEP_MIN: usize = 1024;
const SWEEP_PARTS: usize = 16;

/// The channels that keep something.
#[derive(Debug, Default)]
pub(super) struct Keepers {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// In no order.
    channels: Vec<Weak<Channel>>,
    /// Where the next sweep begins.
    next: usize,
}

impl Keepers {
    /// Makes a channel known that keeps its first publication.
    pub(super) fn register(&self, channel: &Arc<Channel>) {
        self.known.lock().channels.push(Arc::downgrade(channel));
    }

    /// Makes the largest histories give way, and returns the number of publications that had to go. The caller must not
    /// be inside the order of a channel.
    #[cold]
    pub(super) fn shrink(&self, budget: &Budget) -> usize {
        // One does it; the others wait, so that they do not fill faster than it is emptied.
        let known = self.known.lock();
        let max = budget.max();
        if budget.used() <= max {
            return 0;
        }
        let channels: Vec<_> = known.channels.iter().filter_map(Weak::upgrade).collect();
        let sizes = channels.iter().map(|channel| channel.history_bytes()).collect();
        let share = fair_share(sizes, max - max / FREED_PART);
        channels.iter().map(|channel| channel.shrink_history(share, budget)).sum()
    }

    /// Drops what is too old at `now` from the next channels in turn. Returns those that nobody needs any more: they
    /// are closed, and the caller removes them from the directory.
    pub(super) fn sweep(&self, now: u64, budget: &Budget) -> Vec<Arc<Channel>> {
        let mut known = self.known.lock();
        let mut unused = Vec::new();
        let count = known.channels.len().min(SWEEP_MIN.max(known.channels.len() / SWEEP_PARTS));
        for _ in 0..count {
            if known.channels.is_empty() {
                break;
            }
            let at = known.next % known.channels.len();
            known.next = at + 1;
            let Some(channel) = known.channels[at].upgrade() else {
                known.channels.swap_remove(at);
                known.next = at;
                continue;
            };
            if channel.expire_history(now, budget) {
                known.channels.swap_remove(at);
                known.next = at;
                unused.push(channel);
            }
        }
        unused
    }
}

/// Returns the largest size that all may have so that together they are within `total`.
fn fair_share(mut sizes: Vec<usize>, total: usize) -> usize {
    sizes.sort_unstable();
    let mut left = total;
    let count = sizes.len();
    for (index, size) in sizes.into_iter().enumerate() {
        let share = left / (count - index);
        if size > share {
            return share;
        }
        left -= size;
    }
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_ones_keep_everything_and_large_ones_share_the_rest() {
        for (sizes, total, share) in [
            (vec![], 10, usize::MAX),
            (vec![1, 2, 3], 6, usize::MAX),
            (vec![1, 2, 100], 10, 7),
            (vec![100, 1, 100], 11, 5),
            (vec![8, 8, 8], 12, 4),
            (vec![5, 5], 0, 0),
        ] {
            assert_eq!(fair_share(sizes.clone(), total), share, "{sizes:?}");
        }
    }
}
