//! A spread: how long each message took to its first and to its last receiver.
//!
//! The last receiver sees the whole cost of a fan-out; percentiles over all deliveries hide it. Only one
//! publisher's messages are followed, so that a sequence number identifies the message.

/// Messages followed in one window: at 500 messages per second, half an hour.
const MESSAGES_MAX: usize = 1 << 20;

/// Latencies by message, in microseconds.
#[derive(Debug, Default)]
pub(crate) struct Spread {
    is_followed: bool,
    /// The sequence number of the first message.
    base: u32,
    first_us: Vec<u32>,
    last_us: Vec<u32>,
}

impl Spread {
    /// Begins with the message `base`.
    pub(crate) fn follow(base: u32) -> Self {
        Self { is_followed: true, base, ..Self::default() }
    }

    /// Notes a delivery of the message `sequence`.
    ///
    /// # Hot path
    ///
    /// Once per delivery: two comparisons, and two stores into lines that the last delivery warmed.
    #[inline]
    pub(crate) fn record(&mut self, sequence: u32, nanos: u64) {
        if !self.is_followed {
            return;
        }
        // A message from before the window wraps to a huge index.
        let index = sequence.wrapping_sub(self.base) as usize;
        if index >= self.last_us.len() && !self.grow(index) {
            return;
        }
        let micros = u32::try_from(nanos / 1_000).unwrap_or(u32::MAX - 1);
        self.first_us[index] = self.first_us[index].min(micros);
        self.last_us[index] = self.last_us[index].max(micros);
    }

    /// Makes room for `index`; false if that is too much.
    #[cold]
    fn grow(&mut self, index: usize) -> bool {
        if index >= MESSAGES_MAX {
            return false;
        }
        self.first_us.resize(index + 1, u32::MAX);
        self.last_us.resize(index + 1, 0);
        true
    }

    /// Hands over the latencies to the first and to the last receiver, and stops following.
    pub(crate) fn take(&mut self) -> (Vec<u32>, Vec<u32>) {
        let spread = std::mem::take(self);
        (spread.first_us, spread.last_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_and_last_receiver_are_kept_by_message() {
        let mut spread = Spread::follow(10);
        for (sequence, micros) in [(9, 1), (10, 5), (12, 7), (10, 3), (12, 20), (u32::MAX, 1)] {
            spread.record(sequence, micros * 1_000);
        }
        assert_eq!(spread.take(), (vec![3, u32::MAX, 7], vec![5, 0, 20]));
        spread.record(10, 1);
        assert_eq!(spread.take(), (vec![], vec![]), "it follows nothing any more");
    }
}
