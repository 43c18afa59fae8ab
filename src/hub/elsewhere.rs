//! Elsewhere: what subscribers of a channel are told of those on other hubs of a cluster.

use super::channel::Order;
use super::occupancy::Announcement;
use super::presence::EVENTS_BYTES_MAX;
use super::{Hub, Sink};
use crate::protocol::{ChannelName, PresenceEvent};
use std::sync::Arc;

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
            shards.iter().map(move |shard| Announcement::of_events(shard, channel, &events))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::PresenceEventKind;

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
