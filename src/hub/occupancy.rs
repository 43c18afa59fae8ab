//! Occupancy: how many are in a channel, and who joins and leaves, told to those whose protocol has room for it.
//!
//! A change is noted once, however many follow before it is told. So a crowd that comes costs its channel one write per
//! subscriber and announcement and not one per head, and channels in which nobody is told cost nothing.

use super::channel::{Change, Channel};
use super::{Command, HubId};
use crate::metrics::{Metrics, ProcessCounters};
use crate::protocol::{PresenceEvent, PresenceEventKind};
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

    /// Returns what tells a shard of joins and leaves on other hubs.
    pub(super) fn of_events(shard: usize, channel: &Arc<Channel>, events: &Arc<[PresenceEvent]>) -> Self {
        Self { shard, channel: Arc::clone(channel), subscribers: None, events: Arc::clone(events) }
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
