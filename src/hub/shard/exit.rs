//! The end of a connection: after its backlog, at once, or because it is gone or too slow.

use super::connection::{Connection, Phase, SubscriptionRef};
use super::shard_channel::{ShardChannels, Subscription};
use super::state::Shard;
use super::todo::Exit;
use crate::config::{DrainCloseCode, HubLimits, SlowConsumer};
use crate::hub::id::Slot;
use crate::hub::{ConnectionId, OnLag, Sink};
use crate::protocol::encoding::Control;
use crate::protocol::websocket::frame;
use crate::protocol::{CloseCode, CloseReason};
use bytes::Bytes;
use smallvec::SmallVec;
use std::mem;
use std::sync::Arc;

impl<S: Sink> Shard<S> {
    /// Moves a connection towards its end. Not while a round is under way.
    pub(super) fn exit(&mut self, slot: Slot, exit: Exit) {
        let Some(connection) = self.connections.get(slot) else { return };
        match exit {
            Exit::Close(reason) if connection.phase <= Phase::Flushing => self.begin_closing(slot, reason),
            Exit::Disconnect(disconnection) if connection.phase <= Phase::Flushing => {
                let frame = frame::close_with(disconnection.code, &disconnection.text);
                self.begin_closing_with(slot, disconnection.reason(), frame);
            }
            Exit::Flush(reason) if connection.phase == Phase::Open => self.begin_flushing(slot, reason),
            Exit::Gone if connection.phase < Phase::Dead => self.kill(slot),
            Exit::Lagging if connection.phase <= Phase::Flushing => self.handle_lag(slot),
            Exit::Close(_) | Exit::Disconnect(_) | Exit::Flush(_) | Exit::Gone | Exit::Lagging => {}
        }
    }

    fn begin_flushing(&mut self, slot: Slot, reason: CloseReason) {
        let deadline = self.clock.time() + self.limits.close_timeout;
        let Some(connection) = self.connections.get_mut(slot) else { return };
        connection.phase = Phase::Flushing;
        let control = connection.control_mut();
        control.close_after = Some(reason);
        control.deadline = Some(deadline);
        self.todo.to_flush.push(slot);
        self.watch(slot);
    }

    fn begin_closing(&mut self, slot: Slot, reason: CloseReason) {
        let Some(connection) = self.connections.get(slot) else { return };
        let code = close_code(reason, self.limits.drain_close_code);
        let frame = connection.shape.encoding.control(Control::Close(reason, code));
        self.begin_closing_with(slot, reason, frame);
    }

    fn begin_closing_with(&mut self, slot: Slot, reason: CloseReason, frame: Bytes) {
        let deadline = self.clock.time() + self.limits.close_timeout;
        self.unsubscribe_all(slot);
        let Some(connection) = self.connections.get_mut(slot) else { return };
        connection.phase = Phase::Closing;
        let control = connection.control_mut();
        control.push_close(frame);
        control.deadline = Some(deadline);
        if connection.is_parked {
            connection.sink.make_room();
        }
        self.counts.closes[reason.index()] += 1;
        let id = ConnectionId::new(self.index, slot, connection.generation);
        tracing::debug!(?id, reason = reason.label(), "closing");
        self.todo.to_flush.push(slot);
        self.watch(slot);
    }

    /// The sink takes nothing any more: nothing more is written, and the reader, which sees the same, is woken.
    fn kill(&mut self, slot: Slot) {
        self.unsubscribe_all(slot);
        let Some(connection) = self.connections.get_mut(slot) else { return };
        connection.phase = Phase::Dead;
        connection.control = None;
        connection.sink.abort();
    }

    fn handle_lag(&mut self, slot: Slot) {
        let Some(connection) = self.connections.get(slot) else { return };
        let policy = slow_consumer(&self.limits, &self.channels, connection);
        // It may have been found to lag several times in one pass; after the first nothing is beyond the bound.
        let Some(outcome) = self.lag_outcome(connection) else { return };
        match outcome {
            OnLag::Resubscribe => self.end_lagging(slot),
            OnLag::Reconnect => self.begin_closing(slot, CloseReason::InsufficientState),
            OnLag::Policy if policy == SlowConsumer::Skip => self.skip_ahead(slot),
            OnLag::Policy => self.begin_closing(slot, CloseReason::SlowConsumer),
        }
    }

    /// Returns what becomes of a connection that lags: what is worst for one of its subscriptions beyond the bound;
    /// `None` if none is.
    fn lag_outcome(&self, connection: &Connection<S>) -> Option<OnLag> {
        let beyond = connection.subscriptions.iter().filter_map(|one| self.beyond_bound(*one));
        let worst = beyond.map(|subscription| subscription.on_lag).max();
        // One that is drained gets no subscription any more.
        worst.map(|worst| if connection.phase == Phase::Open { worst } else { OnLag::Policy })
    }

    /// Returns a subscription if it lags by more than the bound.
    fn beyond_bound(&self, subscription: SubscriptionRef) -> Option<&Subscription> {
        let channel = self.channels.get(subscription.channel)?;
        let found = channel.subscriptions.get(subscription.index())?;
        (channel.log.head() - found.cursor > self.limits.outbox_bytes_max as u64).then_some(found)
    }

    /// Ends the subscriptions that lag by more than the bound, and what they still had to get: their clients make them
    /// again once they know.
    fn end_lagging(&mut self, slot: Slot) {
        self.end_subscriptions(slot, |shard, one| shard.beyond_bound(*one).is_some());
    }

    /// Ends some subscriptions of a connection, and what they still had to get: their clients make them again once they
    /// know. Not while a round is under way.
    pub(super) fn end_subscriptions(&mut self, slot: Slot, is_ending: impl Fn(&Self, &SubscriptionRef) -> bool) {
        let Some(connection) = self.connections.get(slot) else { return };
        let id = connection.id(self.index, slot);
        let (ending, kept): (SmallVec<[SubscriptionRef; 2]>, _) =
            connection.subscriptions.iter().copied().partition(|one| is_ending(self, one));
        if let Some(connection) = self.connections.get_mut(slot) {
            connection.subscriptions = kept;
            connection.control.iter_mut().for_each(|control| control.over_bound_since = None);
        }
        for subscription in ending {
            if let Some(channel) = self.channels.get(subscription.channel) {
                let cursor = channel.subscriptions[subscription.index()].cursor;
                self.counts.skipped += channel.log.publications_between(cursor, channel.log.head()) as u64;
                self.lagging.note(id, Arc::clone(&channel.channel));
            }
            self.unsubscribe(subscription);
        }
    }

    /// Moves every cursor of the connection to the newest publication; the client is told how many it missed.
    fn skip_ahead(&mut self, slot: Slot) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        if let Some(control) = &mut connection.control {
            control.over_bound_since = None;
        }
        for subscription in &connection.subscriptions {
            let Some(channel) = self.channels.get_mut(subscription.channel) else { continue };
            let cursor = &mut channel.subscriptions[subscription.index()].cursor;
            let missed = channel.log.publications_between(*cursor, channel.log.head()) as u64;
            let has_events = channel.encoding.tells_presence()
                && channel.channel.options().options.join_leave
                && channel.log.has_notices_after(*cursor);
            *cursor = channel.log.head();
            self.counts.skipped += missed;
            if channel.encoding.tells_missed() {
                let control = connection.control.get_or_insert_default();
                control.push_missed(missed);
                if has_events {
                    control.push_missed_events();
                }
            }
        }
    }

    pub(super) fn unsubscribe_all(&mut self, slot: Slot) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        for subscription in mem::take(&mut connection.subscriptions) {
            self.unsubscribe(subscription);
        }
    }

    /// Fills the gap with the last subscription of the channel, and tells that one's connection its new index.
    pub(super) fn unsubscribe(&mut self, removed: SubscriptionRef) {
        let Some(channel) = self.channels.get_mut(removed.channel) else { return };
        channel.subscriptions.swap_remove(removed.index());
        let last = SubscriptionRef::new(removed.channel, channel.subscriptions.len());
        if let Some(moved) = channel.subscriptions.get(removed.index()) {
            let owner = self.connections.get_mut(moved.slot);
            let known = owner.into_iter().flat_map(|owner| owner.subscriptions.iter_mut());
            for known in known.filter(|known| **known == last) {
                *known = removed;
            }
        }
        self.channels.close_if_empty(removed.channel);
    }
}

/// Returns what happens to a connection that cannot keep up: it is closed if one of its channels says so, or if its
/// protocol has no way to go on.
pub(super) fn slow_consumer<S>(
    limits: &HubLimits,
    channels: &ShardChannels,
    connection: &Connection<S>,
) -> SlowConsumer {
    if !connection.shape.encoding.may_skip() {
        return SlowConsumer::Close;
    }
    let channels = connection.subscriptions.iter().filter_map(|one| channels.get(one.channel));
    let mut policies = channels.map(|one| one.channel.options().slow_consumer.unwrap_or(limits.slow_consumer));
    match policies.next() {
        None => limits.slow_consumer,
        Some(SlowConsumer::Skip) if policies.all(|policy| policy == SlowConsumer::Skip) => SlowConsumer::Skip,
        Some(_) => SlowConsumer::Close,
    }
}

/// Returns the code to close with, that of the operator where the hub itself ends.
fn close_code(reason: CloseReason, code: DrainCloseCode) -> Option<CloseCode> {
    match (reason, code) {
        (CloseReason::Shutdown | CloseReason::Shed, DrainCloseCode::GoingAway) => Some(CloseCode::GOING_AWAY),
        _ => reason.code(),
    }
}
