//! What a shard gives up when the process runs out of memory.

use super::state::Shard;
use super::todo::Exit;
use crate::hub::Sink;
use crate::protocol::CloseReason;
use std::time::Duration;

/// Logs below this are kept: one coalesced message of the largest size.
const LOG_BYTES_MIN: u64 = 64 * 1024;

/// A socket that took nothing for so long is full: the kernel holds a send buffer for it, which no log shows.
const STALL_MIN: Duration = Duration::from_secs(1);

impl<S: Sink> Shard<S> {
    /// Closes the connections that keep the older half of a large log: few of them, and half of what logs hold. And
    /// those whose sockets are full: what the kernel holds for them.
    pub(super) fn close_slowest(&mut self) {
        self.close_laggards();
        self.close_stalled();
    }

    fn close_laggards(&mut self) {
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

    fn close_stalled(&mut self) {
        let now = self.clock.time();
        for slot in &self.deadlines.watched {
            let parked = self.connections.get(*slot).filter(|connection| connection.is_parked);
            let since = parked.and_then(|connection| connection.control.as_ref()?.stalled_since);
            if since.is_some_and(|since| now.saturating_sub(since) >= STALL_MIN) {
                self.todo.exits.push((*slot, Exit::Close(CloseReason::SlowConsumer)));
            }
        }
    }
}
