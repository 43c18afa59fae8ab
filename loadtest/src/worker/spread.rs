//! A spread: how long each message took to its first and to its last receiver.
//!
//! The last receiver sees the whole cost of a fan-out; percentiles over all deliveries hide it. Only messages of
//! publishers that take turns in one channel are followed, so that publisher and sequence number identify a message.

/// Messages followed in one window: at 500 messages per second, half an hour.
const MESSAGES_MAX: usize = 1 << 20;

/// Latencies by message, in microseconds.
#[derive(Debug, Default)]
pub(crate) struct Spread {
    /// The sequence number of the first message, by publisher; empty if none is followed.
    bases: Vec<u32>,
    first_us: Vec<u32>,
    last_us: Vec<u32>,
}

impl Spread {
    /// Begins with the messages `bases`, by publisher.
    pub(crate) fn follow(bases: Vec<u32>) -> Self {
        Self { bases, ..Self::default() }
    }

    /// Notes a delivery of the message `sequence` of `publisher`.
    ///
    /// # Hot path
    ///
    /// Once per delivery: two comparisons, and two stores into lines that the last delivery warmed.
    #[inline]
    pub(crate) fn record(&mut self, publisher: u16, sequence: u32, nanos: u64) {
        let Some(base) = self.bases.get(usize::from(publisher)) else { return };
        // A message from before the window wraps to a huge index.
        let index = sequence.wrapping_sub(*base) as usize * self.bases.len() + usize::from(publisher);
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
        let mut spread = Spread::follow(vec![10]);
        for (sequence, micros) in [(9, 1), (10, 5), (12, 7), (10, 3), (12, 20), (u32::MAX, 1)] {
            spread.record(0, sequence, micros * 1_000);
        }
        assert_eq!(spread.take(), (vec![3, u32::MAX, 7], vec![5, 0, 20]));
        spread.record(0, 10, 1);
        assert_eq!(spread.take(), (vec![], vec![]), "it follows nothing any more");
    }

    #[test]
    fn messages_of_publishers_that_take_turns_are_told_apart() {
        let mut spread = Spread::follow(vec![10, 20]);
        for (publisher, sequence, micros) in [(0, 10, 5), (1, 20, 7), (0, 11, 9), (1, 20, 8), (2, 0, 1)] {
            spread.record(publisher, sequence, micros * 1_000);
        }
        assert_eq!(spread.take(), (vec![5, 7, 9], vec![5, 8, 9]));
    }
}
