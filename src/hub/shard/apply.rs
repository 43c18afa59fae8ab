//! What each command does to a shard.

use super::Shard;
use super::connection::{Connection, Heartbeat, Phase, SubscriptionRef, find};
use super::exit::Exit;
use super::shard_channel::Subscription;
use super::wheel::Wheel;
use crate::config::Limits;
use crate::hub::command::Publication;
use crate::hub::{Channel, Command, ConnectionId, Sent, Sink};
use crate::protocol::CloseReason;
use crate::protocol::websocket::frame;
use bytes::Bytes;
use std::sync::Arc;

impl<S: Sink> Shard<S> {
    /// Applies one command and returns the bytes it appended to a log.
    pub(super) fn apply(&mut self, command: Command<S>) -> usize {
        match command {
            Command::Publish(publication) => return self.append(&publication),
            Command::Connect { id, sink } => self.connect(id, sink),
            Command::Disconnect { id } => self.disconnect(id),
            Command::Subscribe { id, channel } => self.subscribe(id, channel),
            Command::Ping { id, body } => self.answer_ping(id, &body),
            Command::Pong { id } => self.note_pong(id),
            Command::Close { id, reason } => self.close(id, reason),
            Command::CloseSome { count, reason } => self.close_some(count, reason),
            Command::Limits(limits) => self.apply_limits(&limits),
            Command::Inspect(inspection) => self.inspect(inspection),
            Command::CloseSlowest => self.close_slowest(),
            Command::CloseAll { reason } => self.close_all(reason),
        }
        0
    }

    /// Appends a publication to this shard's log of its channel.
    ///
    /// # Hot path
    ///
    /// Once per publication and shard: one look-up of the channel, one copy. See `benches/log.rs`.
    fn append(&mut self, publication: &Publication) -> usize {
        // The last subscriber may have left while the publication was on its way.
        let Some(number) = self.audiences.number(publication.channel) else { return 0 };
        let Some(audience) = self.audiences.get_mut(number) else { return 0 };
        audience.log.push(&publication.body);
        self.counts.publications += 1;
        self.latency.note(publication);
        if !audience.is_touched {
            audience.is_touched = true;
            self.touched.push(narrow(number));
        }
        publication.body.len()
    }

    fn connect(&mut self, id: ConnectionId, sink: S) {
        if self.connections.len() <= id.slot() {
            self.connections.resize_with(id.slot() + 1, || None);
        }
        debug_assert!(self.connections[id.slot()].is_none(), "placement hands out free slots");
        self.connections[id.slot()] = Some(Connection::new(id, sink, self.clock.seconds()));
        self.live += 1;
        if let Some(reason) = self.is_closing_all {
            self.leaving.push((narrow(id.slot()), Exit::Drain(reason)));
        }
    }

    /// The slot is not freed here: a close frame queued in this very batch still has to be flushed. Its subscriptions
    /// end here: the channels count it no more, and may have published past this shard since.
    fn disconnect(&mut self, id: ConnectionId) {
        if let Some(connection) = find(&mut self.connections, id) {
            connection.is_abandoned = true;
            self.dirty.push(narrow(id.slot()));
            self.unsubscribe_all(narrow(id.slot()));
        }
    }

    fn subscribe(&mut self, id: ConnectionId, channel: Arc<Channel>) {
        let Some(connection) = find(&mut self.connections, id) else { return };
        if connection.phase != Phase::Open || connection.is_abandoned {
            return;
        }
        let number = self.audiences.open(channel);
        let Some(audience) = self.audiences.get_mut(number) else { return };
        let place = SubscriptionRef { audience: narrow(number), index: narrow(audience.subscriptions.len()) };
        if !connection.subscriptions.iter().any(|one| one.audience == place.audience) {
            connection.subscriptions.push(place);
            self.batching.is_possible |= connection.subscriptions.len() > 1;
            audience.subscriptions.push(Subscription { cursor: audience.log.head(), slot: narrow(id.slot()) });
        }
    }

    fn answer_ping(&mut self, id: ConnectionId, body: &Bytes) {
        let Some(connection) = find(&mut self.connections, id) else { return };
        let pong = frame::pong(body);
        if connection.takes_publications() {
            // A free socket answers every ping; only behind a full one the newest stands for all.
            return self.send_at_once(narrow(id.slot()), &pong);
        }
        if connection.phase <= Phase::Flushing {
            connection.lane_mut().push_pong(pong);
            self.dirty.push(narrow(id.slot()));
        }
    }

    /// Sends a frame to a connection that stands at a frame edge and has no lane.
    pub(super) fn send_at_once(&mut self, slot: u32, frame: &Bytes) {
        let Some(Some(connection)) = self.connections.get_mut(slot as usize) else { return };
        let sent = connection.sink.send(frame);
        self.counts.sends += 1;
        let taken = match sent {
            Sent::All => frame.len(),
            Sent::Short(taken) => taken,
            Sent::Gone => 0,
        };
        self.counts.bytes += taken as u64;
        match sent {
            Sent::All => {}
            Sent::Short(_) => {
                connection.lane_mut().push_rest(frame.slice(taken..));
                self.park(slot, taken > 0);
            }
            Sent::Gone => self.leaving.push((slot, Exit::Gone)),
        }
    }

    fn note_pong(&mut self, id: ConnectionId) {
        if let Some(connection) = find(&mut self.connections, id) {
            connection.pulse = Heartbeat::Alive;
        }
    }

    fn close(&mut self, id: ConnectionId, reason: CloseReason) {
        if find(&mut self.connections, id).is_some() {
            self.leaving.push((narrow(id.slot()), Exit::Close(reason)));
        }
    }

    /// Takes over new limits. The wheel goes on from now: who was pinged and has not answered is asked once more.
    fn apply_limits(&mut self, limits: &Limits) {
        if (limits.ping_interval, limits.pong_timeout) != (self.limits.ping_interval, self.limits.pong_timeout) {
            self.wheel = Wheel::from(self.clock.time(), limits.ping_interval, limits.pong_timeout);
        }
        self.ages = super::tick::ages(limits, self.clock.time());
        self.limits = limits.clone();
    }

    /// Walks on from the slot where the last call ended, once round at most: what it costs is what it closes, and the
    /// slots between them.
    fn close_some(&mut self, mut count: usize, reason: CloseReason) {
        for _ in 0..self.connections.len() {
            if count == 0 {
                return;
            }
            let slot = self.closing_hand % self.connections.len();
            self.closing_hand = slot + 1;
            if let Some(connection) = &mut self.connections[slot]
                && connection.phase == Phase::Open
                && !connection.is_abandoned
            {
                count -= 1;
                self.leaving.push((narrow(slot), Exit::Drain(reason)));
            }
        }
    }

    fn close_all(&mut self, reason: CloseReason) {
        self.is_closing_all = Some(reason);
        let slots = 0..self.connections.len();
        self.leaving.extend(slots.map(|slot| (narrow(slot), Exit::Drain(reason))));
    }
}

/// Narrows a slot or an index: both are bounded by `SLOTS_MAX`.
#[expect(clippy::cast_possible_truncation, reason = "slots and subscriptions are bounded by SLOTS_MAX")]
pub(super) fn narrow(number: usize) -> u32 {
    number as u32
}
