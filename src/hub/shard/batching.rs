//! Batching: publications of several channels for one connection leave in one write.
//!
//! A pass fans out channel by channel, which is one write for each. So before it does, it finds the connections that it
//! would write to more than once, and serves each of them by one write; the fan-outs then find their cursors at the
//! head and skip them. None of this runs while no connection has a second subscription, or only one channel is touched.

use super::rounds::{Part, Position};
use super::state::Shard;
use super::todo::Exit;
use crate::hub::id::Slot;
use crate::hub::{Sent, Sink};
use bytes::Bytes;
use std::mem;

/// Subscriptions looked at between two looks at the clock: some 50 us when none of them is cached.
const STEP_LOOKS: usize = 1024;

/// Most bytes of a batch: they are copied for each connection, and a copy of 16 KiB costs about as much as a write.
const BATCH_BYTES_MAX: u64 = 16 * 1024;

/// Writes between two looks at the clock, as for a fan-out.
const STEP_WRITES: usize = super::pass::STEP_WRITES;

impl<S: Sink> Shard<S> {
    /// Looks for more connections that are owed more than once, or serves some of those that were found.
    pub(super) fn step_batching(&mut self) {
        if let Some(position) = self.rounds.batch.next {
            self.rounds.batch.next = self.find_owed_twice(position);
            return;
        }
        for _ in 0..STEP_WRITES {
            let Some(slot) = self.rounds.batch.slots.pop() else { return };
            self.write_batch(slot);
        }
    }

    /// Looks at some subscriptions of touched channels and returns where to go on.
    fn find_owed_twice(&mut self, mut position: Position) -> Option<Position> {
        let (rounds, mut left) = (&mut self.rounds, STEP_LOOKS);
        while let Some(index) = rounds.touched.get(position.touched) {
            if left == 0 {
                return Some(position);
            }
            let subscriptions = self.channels.get(*index).map_or(&[][..], |channel| &channel.subscriptions);
            let end = subscriptions.len().min(position.subscription + left);
            for subscription in &subscriptions[position.subscription..end] {
                let connection = self.connections.get_mut(subscription.slot);
                if connection.is_some_and(|connection| connection.is_owed_twice(rounds.batch.mark)) {
                    rounds.batch.slots.push(subscription.slot);
                }
            }
            left -= end - position.subscription;
            if end < subscriptions.len() {
                position.subscription = end;
            } else {
                position = Position { touched: position.touched + 1, subscription: 0 };
            }
        }
        None
    }

    /// Sends a connection everything that its channels hold for it.
    ///
    /// # Hot path
    ///
    /// Once per pass and connection that is owed more than once: one send, a look at each of its subscriptions, and a
    /// copy of what they hold. See `benches/many_channels.rs`.
    fn write_batch(&mut self, slot: Slot) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        if !connection.takes_publications() {
            return;
        }
        let batch = &mut self.rounds.batch;
        batch.parts.clear();
        batch.frame.clear();
        for subscription in &connection.subscriptions {
            let Some(channel) = self.channels.get(subscription.channel) else { continue };
            // Most channels have nothing new: their subscriptions are not worth a cache miss.
            if !channel.is_touched {
                continue;
            }
            let (from, to) = (channel.subscriptions[subscription.index()].cursor, channel.log.head());
            // What would make the batch too large is left to the fan-out of its channel.
            if from < to && batch.frame.len() as u64 + (to - from) <= BATCH_BYTES_MAX {
                channel.push_frame(&mut batch.frame, from, to);
                let publications = channel.log.publications_between(from, to);
                batch.parts.push(Part { subscription: *subscription, publications, end: batch.frame.len() });
            }
        }
        if batch.parts.len() > 1 {
            let sent = connection.sink.send(&batch.frame);
            self.finish_batch(slot, sent);
        }
    }

    /// Moves the cursors of what was sent. A frame that was cut goes to the control queue; those after it were not
    /// sent.
    fn finish_batch(&mut self, slot: Slot, sent: Sent) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let batch = &self.rounds.batch;
        let taken = match sent {
            Sent::All => batch.frame.len(),
            Sent::Short(taken) => taken,
            Sent::Gone => return self.todo.exits.push((slot, Exit::Gone)),
        };
        self.counts.sends += 1;
        self.counts.bytes += taken as u64;
        let mut start = 0;
        for part in batch.parts.iter().take_while(|part| mem::replace(&mut start, part.end) < taken) {
            let Some(channel) = self.channels.get_mut(part.subscription.channel) else { continue };
            channel.subscriptions[part.subscription.index()].cursor = channel.log.head();
            self.counts.deliveries += part.publications as u64;
            if taken < part.end {
                connection.control_mut().push_rest(Bytes::copy_from_slice(&batch.frame[taken..part.end]));
            }
        }
        if let Sent::Short(_) = sent {
            self.park(slot, taken > 0);
        }
    }
}
