//! What an inspection sees of a shard: a walk over a slice of its slots, then a closer look at those that stand out.

use super::Shard;
use super::connection::Connection;
use crate::hub::inspection::{Inspection, NAMED_MAX, Rank, SLICE, Seen, View};
use crate::hub::{ConnectionId, Sink};
use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

impl<S: Sink> Shard<S> {
    /// Looks at one slice.
    pub(super) fn inspect(&self, inspection: Inspection) {
        let Inspection { from, rank, limit, reply } = inspection;
        let end = self.connections.len().min(from.saturating_add(SLICE));
        let slots = from.min(end)..end;
        let found = slots.filter_map(|slot| Some((slot, self.connections[slot].as_ref()?)));
        let found = found.map(|(slot, connection)| (self.weigh(connection, rank), slot, connection));
        let mut found: Vec<_> = found.collect();
        // Among equals the oldest.
        found.sort_unstable_by_key(|(weight, _, connection)| (Reverse(*weight), connection.born));
        found.truncate(limit);
        let connections = found.into_iter().map(|(weight, slot, connection)| self.view(weight, slot, connection));
        let seen = Seen { connections: connections.collect(), next: (end < self.connections.len()).then_some(end) };
        // Who has asked may have gone.
        let _ = reply.send(seen);
    }

    /// Returns what a connection is ranked by. Most are not looked beyond: who has no lane lags nowhere.
    fn weigh(&self, connection: &Connection<S>, rank: Rank) -> u64 {
        match rank {
            Rank::Lag => connection.lane.as_ref().map_or(0, |lane| self.lag(connection).0 + lane.len() as u64),
            // A stall that has just begun is one too.
            Rank::Stalled => self.stalled(connection).map_or(0, |stalled| 1 + millis(stalled)),
            Rank::Age => millis(self.age(connection)),
        }
    }

    fn view(&self, weight: u64, slot: usize, connection: &Connection<S>) -> View {
        let audiences = connection.subscriptions.iter().filter_map(|place| self.audiences.get(place.audience as usize));
        let (lag_bytes, lag_publications) = self.lag(connection);
        View {
            weight,
            id: ConnectionId::new(self.index, slot, connection.generation),
            age: self.age(connection),
            channels: audiences.take(NAMED_MAX).map(|audience| Arc::clone(&audience.channel)).collect(),
            channel_count: connection.subscriptions.len(),
            lag_bytes,
            lag_publications,
            lane_bytes: connection.lane.as_ref().map_or(0, |lane| lane.len() as u64),
            stalled: self.stalled(connection),
            state: connection.phase.name(),
            wire: connection.sink.wire(),
        }
    }

    /// Returns the bytes, and the publications, that the connection has not got of all its channels.
    fn lag(&self, connection: &Connection<S>) -> (u64, u64) {
        let lags = connection.subscriptions.iter().filter_map(|place| {
            let audience = self.audiences.get(place.audience as usize)?;
            let (cursor, head) = (audience.subscriptions[place.index as usize].cursor, audience.log.head());
            Some((head - cursor, audience.log.messages_between(cursor, head) as u64))
        });
        lags.fold((0, 0), |sum, lag| (sum.0 + lag.0, sum.1 + lag.1))
    }

    fn stalled(&self, connection: &Connection<S>) -> Option<Duration> {
        let since = connection.lane.as_ref()?.stalled_since.filter(|_| connection.is_parked)?;
        Some(self.clock.time().saturating_sub(since))
    }

    fn age(&self, connection: &Connection<S>) -> Duration {
        self.clock.time().saturating_sub(Duration::from_secs(connection.born.into()))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
