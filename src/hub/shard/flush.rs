//! The flush of one connection: its control queue and everything that its channels hold for it.

use super::connection::{Connection, Heartbeat, Phase};
use super::lag::{lag_bytes_max, lag_of};
use super::outbox::{FlushOutcome, Outbox, Window};
use super::shard_channel::ShardChannels;
use super::state::Shard;
use super::todo::Exit;
use crate::hub::id::Slot;
use crate::hub::inbox::SlotWaker;
use crate::hub::{Sent, Sink};
use crate::metrics::ShardCounts;
use crate::protocol::chat;
use crate::protocol::encoding::Control;
use std::sync::Arc;
use std::task::Poll;

/// How a flush ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    /// Nothing is left for the connection.
    CaughtUp,
    /// The sink is full.
    Full {
        /// Whether it took something first.
        has_moved: bool,
    },
    Gone,
}

impl<S: Sink> Shard<S> {
    /// Writes what one connection still has to get, as far as its sink takes it.
    pub(super) fn flush(&mut self, slot: Slot) {
        self.send_due_ping(slot);
        let Some(connection) = self.connections.get_mut(slot) else { return };
        if !connection.is_parked && connection.phase < Phase::Finished {
            match write_out(connection, &mut self.channels, &mut self.counts) {
                End::CaughtUp => self.catch_up(slot),
                End::Full { has_moved } => self.park(slot, has_moved),
                End::Gone => self.exit(slot, Exit::Gone),
            }
        }
        self.remove_if_abandoned(slot);
    }

    /// Sends a ping that is due, without a control queue if there is none: most connections get nothing else for long.
    fn send_due_ping(&mut self, slot: Slot) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        if connection.heartbeat != Heartbeat::Due || connection.is_parked || connection.phase != Phase::Open {
            return;
        }
        connection.heartbeat = Heartbeat::Asked;
        let ping = connection.shape.encoding.control(Control::Ping);
        let frames = match connection.shape.has_signs_of_life {
            true => [ping, chat::sign_of_life(self.limits.ping_interval)].concat().into(),
            false => ping,
        };
        match &mut connection.control {
            Some(control) => control.push_ping(frames),
            None => self.send_at_once(slot, &frames),
        }
    }

    /// Moves a connection on that has everything: an open one gives its control queue back, an ending one ends.
    fn catch_up(&mut self, slot: Slot) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        match connection.phase {
            Phase::Open if connection.shape.is_split => {
                let control = connection.control_mut();
                (control.stalled_since, control.over_bound_since) = (None, None);
            }
            Phase::Open => connection.control = None,
            Phase::Flushing => {
                if let Some(reason) = connection.control.as_ref().and_then(|control| control.close_after) {
                    self.exit(slot, Exit::Close(reason));
                }
            }
            Phase::Closing => {
                connection.sink.finish();
                connection.phase = Phase::Finished;
            }
            Phase::Finished | Phase::Dead => {}
        }
    }

    /// Asks the sink to call back, and leaves the connection alone until then. Its lag is judged now, after it got what
    /// it takes, and from here on by every fan-out and tick.
    pub(super) fn park(&mut self, slot: Slot, has_moved: bool) {
        let now = self.clock.time();
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let waker = self.inbox.waker();
        let control = connection.control.get_or_insert_default();
        control.waker.get_or_insert_with(|| Arc::new(SlotWaker::new(Arc::clone(waker), slot)));
        if has_moved {
            control.stalled_since = None;
        }
        control.stalled_since.get_or_insert(now);
        match connection.ask_sink() {
            Poll::Pending => {
                connection.is_parked = true;
                self.counts.parks += 1;
                if lag_of(connection, &self.channels) > lag_bytes_max(&self.limits) {
                    self.todo.exits.push((slot, Exit::Lagging));
                }
            }
            // It took bytes again between the write and the question.
            Poll::Ready(()) => self.todo.to_flush.push(slot),
        }
        self.watch(slot);
    }

    /// Puts a connection on the list of those whose deadlines the tick checks.
    pub(super) fn watch(&mut self, slot: Slot) {
        if let Some(connection) = self.connections.get_mut(slot)
            && !connection.is_watched
        {
            connection.is_watched = true;
            self.deadlines.watched.push(slot);
        }
    }

    /// Frees the slot of a connection whose reader has ended.
    fn remove_if_abandoned(&mut self, slot: Slot) {
        if !self.connections.get(slot).is_some_and(|connection| connection.is_abandoned) {
            return;
        }
        if let Some(connection) = self.connections.remove(slot) {
            self.placement.give_back(connection.id(self.index, slot));
        }
    }
}

/// Flushes until the sink is full or nothing is left: first the control queue with the channel that is found first,
/// then one channel after the other.
fn write_out<S: Sink>(connection: &mut Connection<S>, channels: &mut ShardChannels, counts: &mut ShardCounts) -> End {
    let mut has_moved = false;
    loop {
        let Connection { sink, control, subscriptions, shape, .. } = &mut *connection;
        let lagging = subscriptions.iter().find(|subscription| {
            let channel = channels.get(subscription.channel);
            channel.is_some_and(|one| one.subscriptions[subscription.index()].cursor < one.log.head())
        });
        if lagging.is_none() && control.is_none() {
            return End::CaughtUp;
        }
        let control = control.get_or_insert_default();
        control.seal(shape.encoding);
        let window = lagging.and_then(|subscription| {
            let channel = channels.get_mut(subscription.channel)?;
            let cursor = &mut channel.subscriptions[subscription.index()].cursor;
            Some(Window { log: &channel.log, encoding: channel.encoding, cursor })
        });
        let mut outbox = Outbox { control, window };
        if outbox.is_empty() {
            return End::CaughtUp;
        }
        let FlushOutcome { sent, bytes, publications } =
            if shape.is_split { outbox.flush_split(sink) } else { outbox.flush(sink) };
        counts.sends += 1;
        counts.deliveries += publications as u64;
        counts.bytes += bytes as u64;
        has_moved |= !matches!(sent, Sent::Short(0));
        match sent {
            Sent::All => {}
            Sent::Short(_) => return End::Full { has_moved },
            Sent::Gone => return End::Gone,
        }
    }
}
