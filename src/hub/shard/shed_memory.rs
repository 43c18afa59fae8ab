//! What a shard gives up when the process runs out of memory.

use super::state::Shard;
use super::todo::Exit;
use crate::hub::Sink;
use crate::protocol::CloseReason;

/// Logs below this are kept: one coalesced message of the largest size.
const LOG_BYTES_MIN: u64 = 64 * 1024;

impl<S: Sink> Shard<S> {
    /// Closes the connections that keep the older half of a large log: few of them, and half of what logs hold.
    pub(super) fn close_slowest(&mut self) {
        for channel in self.channels.iter() {
            let (head, tail) = (channel.log.head(), channel.log.tail());
            if head - tail < LOG_BYTES_MIN {
                continue;
            }
            let middle = tail + (head - tail) / 2;
            let slowest = channel.subscriptions.iter().filter(|subscription| subscription.cursor < middle);
            self.todo.exits.extend(slowest.map(|one| (one.slot, Exit::Close(CloseReason::SlowConsumer))));
        }
    }
}
