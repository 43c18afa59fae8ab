//! Relief: what a shard gives up when the process runs out of memory.

use super::Shard;
use super::exit::Exit;
use crate::hub::Sink;
use crate::protocol::CloseReason;

/// Logs below this are left alone: one coalesced message of the largest size.
const WINDOW_MIN: u64 = 64 * 1024;

impl<S: Sink> Shard<S> {
    /// Closes those who keep the older half of each large log: next to nobody, and half of what logs hold is free.
    pub(super) fn close_slowest(&mut self) {
        for audience in self.audiences.iter() {
            let (head, tail) = (audience.log.head(), audience.log.tail());
            if head - tail < WINDOW_MIN {
                continue;
            }
            let middle = tail + (head - tail) / 2;
            let laggards = audience.subscriptions.iter().filter(|subscription| subscription.cursor < middle);
            self.leaving.extend(laggards.map(|one| (one.slot, Exit::Close(CloseReason::SlowConsumer))));
        }
    }
}
