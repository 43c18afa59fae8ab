//! A joining: what several channels hold for one connection leaves in one write.
//!
//! A pass fans out channel by channel, and that is one write for each of them. So before it does, it finds those who
//! would be written to more than once and serves each of them alone; the fan-outs then find their cursors at the head
//! and pass them by. Nothing of this happens while nobody has a second subscription, or one channel has news only.

use super::Shard;
use super::connection::SubscriptionRef;
use super::exit::Exit;
use super::pass::{STEP_WRITES, push_frame};
use crate::hub::{Sent, Sink};
use bytes::Bytes;

/// Subscriptions looked at between two looks at the clock: some 50 us when none of them is cached.
const STEP_LOOKS: usize = 1024;

/// Most bytes that are joined: they are copied for each connection, and a copy of 16 KiB costs about what a write does.
const JOINED_MAX: u64 = 16 * 1024;

/// The connections that a pass owes publications of several channels.
#[derive(Debug, Default)]
pub(super) struct Batching {
    /// Somebody has, or had, a second subscription.
    pub(super) is_possible: bool,
    /// Which of the touched audiences is looked at next, and from which of its subscriptions on.
    next: Option<(usize, usize)>,
    /// What [`Connection::is_owed_twice`](crate::hub::shard::connection::Connection::is_owed_twice) tells passes apart by.
    mark: u32,
    /// To be served alone.
    slots: Vec<u32>,
    /// The frames of the connection that is being served.
    parts: Vec<Part>,
}

/// One channel's frame among those that are joined.
#[derive(Clone, Copy, Debug)]
struct Part {
    place: SubscriptionRef,
    publications: usize,
    /// Where it ends among the joined bytes.
    end: usize,
}

impl Batching {
    pub(super) fn begin(&mut self) {
        self.mark = self.mark.wrapping_add(2);
        self.next = Some((0, 0));
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.next.is_some() || !self.slots.is_empty()
    }
}

impl<S: Sink> Shard<S> {
    /// Looks for more connections that are owed more than once, or serves some of those that were found.
    pub(super) fn step_joining(&mut self) {
        if let Some((touched, first)) = self.batching.next {
            self.batching.next = self.look(touched, first);
            return;
        }
        for _ in 0..STEP_WRITES {
            let Some(slot) = self.batching.slots.pop() else { return };
            self.join(slot);
        }
    }

    /// Looks at some subscriptions and returns where to look next.
    fn look(&mut self, mut touched: usize, mut first: usize) -> Option<(usize, usize)> {
        let mut left = STEP_LOOKS;
        while let Some(number) = self.touched.get(touched) {
            if left == 0 {
                return Some((touched, first));
            }
            let subscriptions = self.audiences.get_mut(*number as usize).map_or(&[][..], |one| &one.subscriptions);
            let end = subscriptions.len().min(first + left);
            for subscription in &subscriptions[first..end] {
                let connection = self.connections.get_mut(subscription.slot as usize).and_then(Option::as_mut);
                if connection.is_some_and(|one| one.is_owed_twice(self.batching.mark)) {
                    self.batching.slots.push(subscription.slot);
                }
            }
            left -= end - first;
            (touched, first) = if end < subscriptions.len() { (touched, end) } else { (touched + 1, 0) };
        }
        None
    }

    /// Sends a connection everything that its channels hold for it.
    ///
    /// # Hot path
    ///
    /// Once per pass and connection that is owed more than once: one send, a look at each of its subscriptions, and a
    /// copy of what they hold. See `benches/many_channels.rs`.
    fn join(&mut self, slot: u32) {
        let Some(Some(connection)) = self.connections.get_mut(slot as usize) else { return };
        if !connection.takes_publications() {
            return;
        }
        let parts = &mut self.batching.parts;
        parts.clear();
        self.frame.clear();
        for place in &connection.subscriptions {
            let Some(audience) = self.audiences.get_mut(place.audience as usize) else { continue };
            // Most channels have nothing new: their subscriptions are not worth a cache miss.
            if !audience.is_touched {
                continue;
            }
            let (from, to) = (audience.subscriptions[place.index as usize].cursor, audience.log.head());
            // What is too much stays behind for the fan-out of its channel.
            if from < to && self.frame.len() as u64 + (to - from) <= JOINED_MAX {
                push_frame(&mut self.frame, audience, from, to);
                let publications = audience.log.messages_between(from, to);
                parts.push(Part { place: *place, publications, end: self.frame.len() });
            }
        }
        if parts.len() > 1 {
            let sent = connection.sink.send(&self.frame);
            self.note_joined(slot, sent);
        }
    }

    fn note_joined(&mut self, slot: u32, sent: Sent) {
        let Some(Some(connection)) = self.connections.get_mut(slot as usize) else { return };
        let taken = match sent {
            Sent::All => self.frame.len(),
            Sent::Short(taken) => taken,
            Sent::Gone => return self.leaving.push((slot, Exit::Gone)),
        };
        self.counts.sends += 1;
        self.counts.bytes += taken as u64;
        let mut start = 0;
        for part in self.batching.parts.iter().take_while(|part| std::mem::replace(&mut start, part.end) < taken) {
            let Some(audience) = self.audiences.get_mut(part.place.audience as usize) else { continue };
            audience.subscriptions[part.place.index as usize].cursor = audience.log.head();
            self.counts.deliveries += part.publications as u64;
            if taken < part.end {
                connection.lane_mut().push_rest(Bytes::copy_from_slice(&self.frame[taken..part.end]));
            }
        }
        if let Sent::Short(_) = sent {
            self.park(slot, taken > 0);
        }
    }
}
