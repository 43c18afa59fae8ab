//! What an inspection sees of a shard: a walk over a slice of its slots, then a closer look at the first by rank.

use super::connection::Connection;
use super::state::Shard;
use crate::hub::Sink;
use crate::hub::id::Slot;
use crate::hub::inspection::{Inspection, NAMED_MAX, Rank, SLICE, Seen, View};
use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

impl<S: Sink> Shard<S> {
    /// Looks at one slice.
    pub(super) fn inspect(&self, inspection: Inspection) {
        let Inspection { from, rank, limit, reply } = inspection;
        let end = self.connections.len().min(from.saturating_add(SLICE));
        let slots = (from.min(end)..end).map(Slot::new);
        let found = slots.filter_map(|slot| Some((slot, self.connections.get(slot)?)));
        let found = found.map(|(slot, connection)| (self.weight(connection, rank), slot, connection));
        let mut found: Vec<_> = found.collect();
        // The oldest first among equals.
        found.sort_unstable_by_key(|(weight, _, connection)| (Reverse(*weight), connection.born));
        found.truncate(limit);
        let connections = found.into_iter().map(|(weight, slot, connection)| self.view(weight, slot, connection));
        let seen = Seen { connections: connections.collect(), next: (end < self.connections.len()).then_some(end) };
        // Fails if the request that asked was cancelled.
        let _ = reply.send(seen);
    }

    /// Returns what a connection is ranked by. Most need no closer look: without a control queue there is no lag.
    fn weight(&self, connection: &Connection<S>, rank: Rank) -> u64 {
        match rank {
            Rank::Lag => connection.control.as_ref().map_or(0, |control| self.lag(connection).0 + control.len() as u64),
            // A stall that has just begun is one too.
            Rank::Stalled => self.stalled(connection).map_or(0, |stalled| 1 + millis(stalled)),
            Rank::Age => millis(self.age(connection)),
        }
    }

    fn view(&self, weight: u64, slot: Slot, connection: &Connection<S>) -> View {
        let channels = connection.subscriptions.iter().filter_map(|known| self.channels.get(known.channel));
        let (lag_bytes, lag_publications) = self.lag(connection);
        View {
            weight,
            id: connection.id(self.index, slot),
            age: self.age(connection),
            channels: channels.take(NAMED_MAX).map(|channel| Arc::clone(&channel.channel)).collect(),
            channel_count: connection.subscriptions.len(),
            lag_bytes,
            lag_publications,
            control_bytes: connection.control.as_ref().map_or(0, |control| control.len() as u64),
            stalled: self.stalled(connection),
            state: connection.phase.name(),
            wire: connection.sink.wire(),
        }
    }

    /// Returns the bytes and the publications that the connection has not got, over all its channels.
    fn lag(&self, connection: &Connection<S>) -> (u64, u64) {
        let lags = connection.subscriptions.iter().filter_map(|subscription| {
            let channel = self.channels.get(subscription.channel)?;
            let (cursor, head) = (channel.subscriptions[subscription.index()].cursor, channel.log.head());
            Some((head - cursor, channel.log.publications_between(cursor, head) as u64))
        });
        lags.fold((0, 0), |sum, lag| (sum.0 + lag.0, sum.1 + lag.1))
    }

    fn stalled(&self, connection: &Connection<S>) -> Option<Duration> {
        let since = connection.control.as_ref()?.stalled_since.filter(|_| connection.is_parked)?;
        Some(self.clock.time().saturating_sub(since))
    }

    fn age(&self, connection: &Connection<S>) -> Duration {
        self.clock.time().saturating_sub(Duration::from_secs(connection.born.into()))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
