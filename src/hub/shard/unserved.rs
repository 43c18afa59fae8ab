//! Subscribers that a fan-out could not serve in full.

use super::fan_out::Unserved;
use super::state::Shard;
use super::todo::Exit;
use crate::hub::Sink;
use crate::hub::id::Slot;
use bytes::Bytes;

impl<S: Sink> Shard<S> {
    /// Handles a subscriber of the current round, whose frame has that many `publications`.
    #[cold]
    pub(super) fn handle_unserved(&mut self, slot: Slot, unserved: Unserved, publications: u64) {
        match unserved {
            Unserved::Short(taken) => {
                self.counts.sends += 1;
                self.counts.bytes += taken as u64;
                if taken > 0 {
                    self.counts.deliveries += publications;
                    let rest = Bytes::copy_from_slice(&self.rounds.frame[taken..]);
                    if let Some(connection) = self.connections.get_mut(slot) {
                        connection.control_mut().push_rest(rest);
                    }
                }
                self.park(slot, taken > 0);
            }
            Unserved::Gone => {
                self.counts.sends += 1;
                self.todo.exits.push((slot, Exit::Gone));
            }
            Unserved::Straggler => self.todo.to_flush.push(slot),
            Unserved::Lagging => self.todo.exits.push((slot, Exit::Lagging)),
        }
    }
}
