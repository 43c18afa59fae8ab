//! What each command does to a shard.

use super::connection::{Connection, Heartbeat, Phase, SubscriptionRef};
use super::shard_channel::Subscription;
use super::state::Shard;
use super::todo::Exit;
use crate::config::HubLimits;
use crate::hub::channel_key::ChannelKey;
use crate::hub::command::Command;
use crate::hub::id::{ConnectionId, Slot};
use crate::hub::{Channel, MessageShape, ReplyPermit, Sent, Sink};
use crate::protocol::backlog::Backlog;
use crate::protocol::encoding::Control;
use crate::protocol::{CloseReason, PresenceEvent, Publication, chat};
use bytes::Bytes;
use std::sync::Arc;

impl<S: Sink> Shard<S> {
    /// Applies one command and returns the bytes it appended to a log.
    pub(super) fn apply(&mut self, command: Command<S>) -> usize {
        match command {
            Command::Publish { channel, publication } => return self.append(channel, &publication),
            Command::Connect { id, sink, shape } => self.connect(id, sink, shape),
            Command::Disconnect { id } => self.disconnect(id),
            Command::Subscribe { id, channel, backlog, permit } => self.subscribe(id, channel, &backlog, permit),
            Command::Hold { id } => self.hold(id),
            Command::Release { id } => self.release(id),
            Command::Reply { id, frames, permit } => self.reply_to(id, &frames, permit),
            Command::Unsubscribe { id, channel } => self.unsubscribe_from(id, channel),
            Command::Announce { channel, subscribers, events } => return self.announce(channel, subscribers, &events),
            Command::DeclareGap { channel } => return self.declare_gap(channel),
            Command::Ping { id, body } => self.answer_ping(id, &body),
            Command::Pong { id } => self.note_pong(id),
            Command::Close { id, reason } => self.close(id, reason),
            Command::CloseSubscriber { id, channel, reason } => self.close_subscriber(id, channel, reason),
            Command::CloseSome { count, reason } => self.close_some(count, reason),
            Command::Limits(limits) => self.apply_limits(&limits),
            Command::Inspect(inspection) => self.inspect(inspection),
            Command::CloseSlowest => self.close_slowest(),
            Command::CloseAll { reason } => self.close_all(reason),
        }
        0
    }

    /// Appends a publication to this shard's logs of its channel.
    ///
    /// # Hot path
    ///
    /// Once per publication and shard: one look-up of the channel, and one copy per encoding. See `benches/log.rs`.
    fn append(&mut self, channel: ChannelKey, publication: &Publication) -> usize {
        // The last subscriber may have left while the publication was on its way.
        let Some(mut index) = self.channels.find(channel) else { return 0 };
        self.counts.publications += 1;
        self.rounds.latency.note(publication);
        while let Some(channel) = self.channels.get_mut(index) {
            channel.append(publication);
            if !channel.is_touched {
                channel.is_touched = true;
                self.rounds.touched.push(index);
            }
            let Some(sibling) = channel.sibling else { break };
            index = sibling;
        }
        publication.payload.len()
    }

    /// Tells the subscribers whose encoding has room for it how many they are, and who has joined and left: one append
    /// to a log, and so one write per subscriber, however many these are.
    fn announce(&mut self, channel: ChannelKey, subscribers: Option<u32>, events: &[PresenceEvent]) -> usize {
        let mut next = self.channels.find(channel);
        let mut appended = 0;
        while let Some(index) = next {
            let Some(channel) = self.channels.get_mut(index) else { break };
            next = channel.sibling;
            let bytes = channel.announce(subscribers, events);
            if bytes > 0 && !std::mem::replace(&mut channel.is_touched, true) {
                self.rounds.touched.push(index);
            }
            appended += bytes;
        }
        appended
    }

    fn connect(&mut self, id: ConnectionId, sink: S, shape: MessageShape) {
        self.connections.insert(id.slot(), Connection::new(id, sink, shape, self.clock.seconds()));
        if let Some(reason) = self.closing.all {
            self.todo.exits.push((id.slot(), Exit::Flush(reason)));
        }
        if shape.has_signs_of_life {
            // At once, because it says when the next one comes.
            self.send_at_once(id.slot(), &chat::sign_of_life(self.limits.ping_interval));
        }
        if let Some(connection) = self.connections.find(id).filter(|_| shape.is_split) {
            connection.control_mut();
        }
    }

    /// The slot is not freed here: a close frame queued in this very batch still has to be flushed. The subscriptions
    /// end here, because the channels no longer count them and may have published past this shard since.
    fn disconnect(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.find(id) {
            connection.is_abandoned = true;
            self.todo.to_flush.push(id.slot());
            self.unsubscribe_all(id.slot());
        }
    }

    fn subscribe(&mut self, id: ConnectionId, channel: Arc<Channel>, backlog: &Backlog, permit: Option<ReplyPermit>) {
        let Some(connection) = self.connections.find(id) else { return };
        if connection.phase != Phase::Open || connection.is_abandoned {
            return;
        }
        let index = self.channels.open(channel, connection.shape.encoding);
        let Some(channel) = self.channels.get_mut(index) else { return };
        if !connection.subscriptions.iter().any(|known| known.channel == index) {
            connection.subscriptions.push(SubscriptionRef::new(index, channel.subscriptions.len()));
            self.rounds.batch.is_possible |= connection.subscriptions.len() > 1;
            channel.subscriptions.push(Subscription { cursor: channel.log.head(), slot: id.slot() });
        }
        if !backlog.wire.is_empty() {
            self.reply(id.slot(), &backlog.wire, permit);
            self.counts.deliveries += backlog.publications as u64;
        }
    }

    /// What has not left yet is dropped: the client does not want it any more.
    fn unsubscribe_from(&mut self, id: ConnectionId, channel: ChannelKey) {
        let Some(at) = self.find_subscription(id, channel) else { return };
        let Some(connection) = self.connections.find(id) else { return };
        let removed = connection.subscriptions.swap_remove(at);
        self.unsubscribe(removed);
    }

    /// Returns which of a connection's subscriptions is that to a channel.
    fn find_subscription(&mut self, id: ConnectionId, channel: ChannelKey) -> Option<usize> {
        let connection = self.connections.find(id)?;
        let is_of =
            |known: &SubscriptionRef| self.channels.get(known.channel).is_some_and(|one| one.channel.key() == channel);
        connection.subscriptions.iter().position(is_of)
    }

    /// Leaves a connection alone as if its socket were full: what it gets waits.
    fn hold(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.find(id) {
            (connection.is_held, connection.is_parked) = (true, true);
        }
    }

    fn release(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.find(id) {
            // If the socket is full, the flush finds out.
            (connection.is_held, connection.is_parked) = (false, false);
            self.todo.to_flush.push(id.slot());
        }
    }

    fn reply_to(&mut self, id: ConnectionId, frames: &Bytes, permit: ReplyPermit) {
        if self.connections.find(id).is_some_and(|connection| connection.phase <= Phase::Flushing) {
            self.reply(id.slot(), frames, Some(permit));
        }
    }

    /// Sends whole frames that belong before what is published from here on. The permit goes back once they have left.
    fn reply(&mut self, slot: Slot, wire: &Bytes, permit: Option<ReplyPermit>) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        if connection.takes_publications() {
            self.send_at_once(slot, wire);
            if let Some(control) = self.connections.get_mut(slot).and_then(|connection| connection.control.as_mut()) {
                control.hold(permit);
            }
            return;
        }
        connection.control_mut().push_reply(wire, permit);
        self.todo.to_flush.push(slot);
    }

    fn answer_ping(&mut self, id: ConnectionId, body: &Bytes) {
        let Some(connection) = self.connections.find(id) else { return };
        let pong = connection.shape.encoding.control(Control::Pong(body));
        if connection.takes_publications() {
            // A free socket answers every ping; on a full one the newest pong replaces the older ones.
            return self.send_at_once(id.slot(), &pong);
        }
        if connection.phase <= Phase::Flushing {
            connection.control_mut().push_pong(pong);
            self.todo.to_flush.push(id.slot());
        }
    }

    /// Sends a frame to a connection whose stream is at a frame boundary and that has no control queue.
    pub(super) fn send_at_once(&mut self, slot: Slot, frame: &Bytes) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
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
                connection.control_mut().push_rest(frame.slice(taken..));
                self.park(slot, taken > 0);
            }
            Sent::Gone => self.todo.exits.push((slot, Exit::Gone)),
        }
    }

    fn note_pong(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.find(id) else { return };
        let was_asked = connection.heartbeat != Heartbeat::Alive;
        connection.heartbeat = Heartbeat::Alive;
        // RFC 6455 section 5.5.3 allows a pong without a ping; other protocols may not.
        if let Some(reason) = connection.shape.encoding.stray_pong().filter(|_| !was_asked) {
            self.close(id, reason);
        }
    }

    fn close(&mut self, id: ConnectionId, reason: CloseReason) {
        if self.connections.find(id).is_some() {
            self.todo.exits.push((id.slot(), Exit::Close(reason)));
        }
    }

    fn close_subscriber(&mut self, id: ConnectionId, channel: ChannelKey, reason: CloseReason) {
        if self.find_subscription(id, channel).is_some() {
            self.close(id, reason);
        }
    }

    fn apply_limits(&mut self, limits: &HubLimits) {
        self.deadlines.apply_limits(limits, &self.limits, self.clock.time());
        self.limits = limits.clone();
    }

    /// Goes on from the slot at which the last call ended, once around at most. Costs as much as it closes, and the
    /// slots in between.
    fn close_some(&mut self, mut count: usize, reason: CloseReason) {
        for _ in 0..self.connections.len() {
            if count == 0 {
                return;
            }
            let slot = Slot::new(self.closing.next % self.connections.len());
            self.closing.next = slot.index() + 1;
            if let Some(connection) = self.connections.get(slot)
                && connection.phase == Phase::Open
                && !connection.is_abandoned
            {
                count -= 1;
                self.todo.exits.push((slot, Exit::Flush(reason)));
            }
        }
    }

    fn close_all(&mut self, reason: CloseReason) {
        self.closing.all = Some(reason);
        let slots = self.connections.all();
        self.todo.exits.extend(slots.map(|slot| (slot, Exit::Flush(reason))));
    }
}
