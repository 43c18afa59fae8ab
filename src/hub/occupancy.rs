//! Occupancy: how many are in a channel, and who joins and leaves, told to those whose protocol has room for it.
//!
//! A change is noted once, however many follow before it is told. So a crowd that comes costs its channel one write per
//! subscriber and announcement and not one per head, and channels in which nobody is told cost nothing.

use super::channel::{Change, Channel, Order};
use super::presence::EVENTS_BYTES_MAX;
use super::{Command, Hub, HubId, Sink};
use crate::metrics::{Metrics, ProcessCounters};
use crate::protocol::{ChannelName, PresenceEvent, PresenceEventKind};
use parking_lot::Mutex;
use std::sync::Arc;

/// Channels whose subscribers have changed since it was told.
#[derive(Debug, Default)]
pub(super) struct Changes(Mutex<Vec<Arc<Channel>>>);

impl Changes {
    /// Returns what has to be told since the last call, one for each shard.
    pub(super) fn take(&self, hub: Option<HubId>, counters: &ProcessCounters) -> Vec<Announcement> {
        let changed = std::mem::take(&mut *self.0.lock());
        let mut announcements = Vec::new();
        for channel in changed {
            let name_bytes = channel.name().as_str().len();
            let Change { subscribers, shards, events, is_more } =
                channel.in_order(|order| order.take_change(name_bytes));
            let events: Arc<[PresenceEvent]> = events.into_iter().map(|event| event.into_event(hub)).collect();
            let joins = events.iter().filter(|event| event.kind == PresenceEventKind::Join).count();
            Metrics::add(&counters.presence_joins, joins as u64);
            Metrics::add(&counters.presence_leaves, (events.len() - joins) as u64);
            if subscribers.is_some() || !events.is_empty() {
                announcements.extend(shards.iter().map(|shard| {
                    let (channel, events) = (Arc::clone(&channel), Arc::clone(&events));
                    Announcement { shard, channel, subscribers, events }
                }));
            }
            if is_more {
                self.note(&channel);
            }
        }
        announcements
    }

    pub(super) fn note(&self, channel: &Arc<Channel>) {
        self.0.lock().push(Arc::clone(channel));
    }
}

impl<S: Sink> Hub<S> {
    /// Notes that the number of subscribers of a channel has changed on another hub.
    pub fn note_elsewhere(&self, name: &ChannelName) {
        if let Some(channel) = self.parts.directory.get(name)
            && channel.in_order(Order::note_elsewhere)
        {
            self.parts.changes.note(&channel);
        }
    }

    /// Returns what tells the subscribers of a channel who has joined and left on another hub.
    pub fn announcements_of(&self, name: &ChannelName, events: &[PresenceEvent]) -> Vec<Announcement> {
        let Some(channel) = self.parts.directory.get(name) else { return Vec::new() };
        let shards = channel.in_order(|order| order.shards());
        let announcements = bounded(events).flat_map(|events| {
            let (channel, events) = (&channel, Arc::<[PresenceEvent]>::from(events));
            shards.iter().map(move |shard| {
                let (channel, events) = (Arc::clone(channel), Arc::clone(&events));
                Announcement { shard, channel, subscribers: None, events }
            })
        });
        announcements.collect()
    }
}

/// Splits events into as many as one announcement may have.
fn bounded(mut events: &[PresenceEvent]) -> impl Iterator<Item = &[PresenceEvent]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |event: &&PresenceEvent| {
            bytes += event.bytes();
            bytes <= EVENTS_BYTES_MAX
        };
        // One that is larger alone goes alone.
        let count = events.iter().take_while(fits).count().max(1).min(events.len());
        let (first, rest) = events.split_at(count);
        events = rest;
        (!first.is_empty()).then_some(first)
    })
}

/// What a shard is to tell its connections.
#[derive(Debug)]
pub struct Announcement {
    /// Index of the shard.
    pub shard: usize,
    channel: Arc<Channel>,
    subscribers: Option<u32>,
    events: Arc<[PresenceEvent]>,
}

impl Announcement {
    /// Returns the channel.
    pub fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// Adds subscribers of other hubs to the number that is told.
    pub fn add_subscribers(&mut self, elsewhere: u32) {
        self.subscribers = self.subscribers.map(|here| here.saturating_add(elsewhere));
    }

    /// Returns the command to the shard, and the bytes that its credit has to pay for.
    pub fn command<S>(self) -> (Command<S>, usize) {
        let Self { channel, subscribers, events, .. } = self;
        let command = Command::Announce { channel: channel.key(), subscribers, events };
        let bytes = command.body_bytes();
        (command, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_another_hub_are_told_in_bounded_pieces() {
        let event = |number: usize| PresenceEvent {
            kind: PresenceEventKind::Join,
            client: number.to_string().into(),
            info: None,
        };
        let events: Vec<_> = (0..5_000).map(event).collect();
        let pieces: Vec<_> = bounded(&events).collect();
        assert!(pieces.len() > 1 && pieces.concat() == events);
        let bytes = |piece: &&[PresenceEvent]| piece.iter().map(PresenceEvent::bytes).sum::<usize>();
        assert!(pieces.iter().all(|piece| bytes(piece) <= EVENTS_BYTES_MAX));
        assert_eq!(bounded(&[]).count(), 0);
    }
}
