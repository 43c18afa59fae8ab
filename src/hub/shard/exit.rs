//! The end of a connection: after its backlog, at once, or because it is gone or too slow.

use super::Shard;
use super::apply::narrow;
use super::connection::{Connection, Phase, SubscriptionRef};
use crate::config::SlowConsumer;
use crate::hub::placement::Placement;
use crate::hub::{ConnectionId, Sink};
use crate::protocol::websocket::frame;
use crate::protocol::{CloseReason, Encoding};

/// What is to become of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Exit {
    /// Close it now; its backlog is dropped.
    Close(CloseReason),
    /// Close it after its backlog.
    Drain(CloseReason),
    /// Its sink takes nothing any more.
    Gone,
    /// It lags beyond the bound: the policy decides.
    Lagging,
}

impl<S: Sink> Shard<S> {
    /// Moves a connection towards its end. Not while a round is under way.
    pub(super) fn leave(&mut self, slot: u32, leave: Exit) {
        let Some(Some(connection)) = self.connections.get(slot as usize) else { return };
        match leave {
            Exit::Close(reason) if connection.phase <= Phase::Flushing => self.begin_closing(slot, reason),
            Exit::Drain(reason) if connection.phase == Phase::Open => self.begin_draining(slot, reason),
            Exit::Gone if connection.phase < Phase::Dead => self.give_up(slot),
            Exit::Lagging if connection.phase <= Phase::Flushing => self.deal_with_lag(slot),
            Exit::Close(_) | Exit::Drain(_) | Exit::Gone | Exit::Lagging => {}
        }
    }

    fn begin_draining(&mut self, slot: u32, reason: CloseReason) {
        let deadline = self.clock.time() + self.limits.close_timeout;
        let Some(Some(connection)) = self.connections.get_mut(slot as usize) else { return };
        connection.phase = Phase::Flushing;
        let lane = connection.lane_mut();
        lane.close_after = Some(reason);
        lane.deadline = Some(deadline);
        self.dirty.push(slot);
        self.watch(slot);
    }

    fn begin_closing(&mut self, slot: u32, reason: CloseReason) {
        let deadline = self.clock.time() + self.limits.close_timeout;
        self.unsubscribe_all(slot);
        let Some(Some(connection)) = self.connections.get_mut(slot as usize) else { return };
        connection.phase = Phase::Closing;
        let lane = connection.lane_mut();
        lane.push_close(frame::close(reason));
        lane.deadline = Some(deadline);
        if connection.is_parked {
            connection.sink.make_room();
        }
        self.counts.closes[reason.index()] += 1;
        self.dirty.push(slot);
        self.watch(slot);
    }

    /// The sink refused for good: no more is written, and the reader, which sees the same, is not left waiting.
    pub(super) fn give_up(&mut self, slot: u32) {
        self.unsubscribe_all(slot);
        let Some(Some(connection)) = self.connections.get_mut(slot as usize) else { return };
        connection.phase = Phase::Dead;
        connection.lane = None;
        connection.sink.abort();
    }

    fn deal_with_lag(&mut self, slot: u32) {
        match self.limits.slow_consumer {
            SlowConsumer::Close => self.begin_closing(slot, CloseReason::SlowConsumer),
            SlowConsumer::Skip => self.skip_ahead(slot),
        }
    }

    /// Moves every cursor of the connection to the newest publication; it is told how many it missed.
    fn skip_ahead(&mut self, slot: u32) {
        let Some(Some(connection)) = self.connections.get_mut(slot as usize) else { return };
        for place in &connection.subscriptions {
            let Some(audience) = self.audiences.get_mut(place.audience as usize) else { continue };
            let cursor = &mut audience.subscriptions[place.index as usize].cursor;
            let missed = audience.log.messages_between(*cursor, audience.log.head()) as u64;
            *cursor = audience.log.head();
            self.counts.skipped += missed;
            // Frames are a peer's own bytes, with no room for a word of ours.
            if audience.encoding == Encoding::Lines {
                connection.lane.get_or_insert_default().push_missed(missed);
            }
        }
    }

    pub(super) fn unsubscribe_all(&mut self, slot: u32) {
        let Some(Some(connection)) = self.connections.get_mut(slot as usize) else { return };
        for place in std::mem::take(&mut connection.subscriptions) {
            self.unsubscribe(place);
        }
    }

    /// Fills the gap with the last subscription, and tells that one's connection where it went.
    fn unsubscribe(&mut self, place: SubscriptionRef) {
        let Some(audience) = self.audiences.get_mut(place.audience as usize) else { return };
        audience.subscriptions.swap_remove(place.index as usize);
        let last = narrow(audience.subscriptions.len());
        if let Some(moved) = audience.subscriptions.get(place.index as usize) {
            let owner = self.connections.get_mut(moved.slot as usize).and_then(Option::as_mut);
            let places = owner.into_iter().flat_map(|owner| owner.subscriptions.iter_mut());
            for known in places.filter(|known| known.audience == place.audience && known.index == last) {
                known.index = place.index;
            }
        }
        self.audiences.close_if_empty(place.audience as usize);
    }

    /// Ends a connection whose shard is gone: the peer is told, if its socket takes it, and the reader is woken.
    pub(super) fn orphan(placement: &Placement, shard: usize, slot: usize, mut connection: Connection<S>) {
        let is_at_frame_edge = connection.lane.is_none() && connection.phase == Phase::Open;
        if is_at_frame_edge {
            // Best effort: what the socket does not take now is lost with the shard.
            let _ = connection.sink.send(&frame::close(CloseReason::Internal));
            connection.sink.finish();
        } else {
            connection.sink.abort();
        }
        Self::vacate(placement, shard, slot, connection.generation);
    }

    pub(super) fn vacate(placement: &Placement, shard: usize, slot: usize, generation: u32) {
        placement.give_back(ConnectionId::new(shard, slot, generation));
    }
}
