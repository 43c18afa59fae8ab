//! The flush of one connection: its lane and everything its channels hold for it.

use super::Shard;
use super::connection::{Connection, Heartbeat, Phase};
use super::exit::Exit;
use super::outbox::{Flushed, Outbox, Window};
use super::shard_channel::ShardChannels;
use crate::hub::inbox::SlotWaker;
use crate::hub::{Sent, Sink};
use crate::protocol::websocket::frame;
use std::sync::Arc;
use std::task::Poll;

/// How a flush ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    /// Nothing is left for the connection.
    CaughtUp,
    /// The sink is full; it took something, or not.
    Full {
        /// Whether it took something first.
        has_moved: bool,
    },
    Gone,
}

impl<S: Sink> Shard<S> {
    /// Writes what one connection still has to get, as far as its sink takes it.
    pub(super) fn flush(&mut self, slot: u32) {
        self.send_due_ping(slot);
        let Some(Some(connection)) = self.connections.get_mut(slot as usize) else { return };
        if !connection.is_parked && connection.phase < Phase::Finished {
            match write_out(connection, &mut self.audiences, &mut self.counts) {
                End::CaughtUp => self.catch_up(slot),
                End::Full { has_moved } => self.park(slot, has_moved),
                End::Gone => self.leave(slot, Exit::Gone),
            }
        }
        self.remove_if_abandoned(slot);
    }

    /// Sends the ping that is due, without a lane where there is none: most connections get nothing else for long.
    fn send_due_ping(&mut self, slot: u32) {
        let Some(Some(connection)) = self.connections.get_mut(slot as usize) else { return };
        if connection.pulse != Heartbeat::Due || connection.is_parked || connection.phase != Phase::Open {
            return;
        }
        connection.pulse = Heartbeat::Asked;
        match &mut connection.lane {
            Some(lane) => lane.push_ping(),
            None => self.send_at_once(slot, &frame::ping()),
        }
    }

    /// Moves a connection on that has everything.
    fn catch_up(&mut self, slot: u32) {
        let Some(Some(connection)) = self.connections.get_mut(slot as usize) else { return };
        match connection.phase {
            Phase::Open => connection.lane = None,
            Phase::Flushing => {
                if let Some(reason) = connection.lane.as_ref().and_then(|lane| lane.close_after) {
                    self.leave(slot, Exit::Close(reason));
                }
            }
            Phase::Closing => {
                connection.sink.finish();
                connection.phase = Phase::Finished;
            }
            Phase::Finished | Phase::Dead => {}
        }
    }

    /// Asks the sink to call back, and leaves the connection alone until then; its lag is judged now that it got what
    /// it takes, and from here on by every fan-out.
    pub(super) fn park(&mut self, slot: u32, has_moved: bool) {
        let now = self.clock.time();
        let Some(Some(connection)) = self.connections.get_mut(slot as usize) else { return };
        let bell = self.inbox.bell();
        let lane = connection.lane.get_or_insert_default();
        lane.waker.get_or_insert_with(|| Arc::new(SlotWaker::new(Arc::clone(bell), slot)));
        if has_moved {
            lane.stalled_since = None;
        }
        lane.stalled_since.get_or_insert(now);
        match connection.ask_sink() {
            Poll::Pending => {
                connection.is_parked = true;
                self.counts.parks += 1;
                if lag_of(connection, &mut self.audiences) > self.limits.outbox_bytes_max as u64 {
                    self.leaving.push((slot, Exit::Lagging));
                }
            }
            Poll::Ready(()) => self.dirty.push(slot),
        }
        self.watch(slot);
    }

    /// Frees the slot of a connection whose reader has ended.
    fn remove_if_abandoned(&mut self, slot: u32) {
        let Some(entry) = self.connections.get_mut(slot as usize) else { return };
        if !entry.as_ref().is_some_and(|connection| connection.is_abandoned) {
            return;
        }
        if let Some(connection) = self.connections[slot as usize].take() {
            self.live -= 1;
            Self::vacate(&self.placement, self.index, slot as usize, connection.generation);
        }
    }
}

/// Returns the bytes by which the connection lags in the channel where it lags most.
fn lag_of<S>(connection: &Connection<S>, audiences: &mut ShardChannels) -> u64 {
    let lags = connection.subscriptions.iter().filter_map(|place| {
        let audience = audiences.get_mut(place.audience as usize)?;
        Some(audience.log.head() - audience.subscriptions[place.index as usize].cursor)
    });
    lags.max().unwrap_or(0)
}

/// Flushes until the sink is full or nothing is left.
fn write_out<S: Sink>(
    connection: &mut Connection<S>,
    audiences: &mut ShardChannels,
    counts: &mut crate::metrics::ShardCounts,
) -> End {
    let mut has_moved = false;
    loop {
        let Connection { sink, lane, subscriptions, .. } = &mut *connection;
        let behind = subscriptions.iter().find(|place| {
            let audience = audiences.get_mut(place.audience as usize);
            audience.is_some_and(|one| one.subscriptions[place.index as usize].cursor < one.log.head())
        });
        if behind.is_none() && lane.is_none() {
            return End::CaughtUp;
        }
        let lane = lane.get_or_insert_default();
        lane.seal();
        let window = behind.and_then(|place| audiences.get_mut(place.audience as usize).map(|one| (place, one)));
        let window = window.map(|(place, one)| Window {
            log: &one.log,
            encoding: one.encoding,
            cursor: &mut one.subscriptions[place.index as usize].cursor,
        });
        let mut outbox = Outbox { lane, window };
        if outbox.is_empty() {
            return End::CaughtUp;
        }
        let Flushed { sent, bytes, publications } = outbox.flush(sink);
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
