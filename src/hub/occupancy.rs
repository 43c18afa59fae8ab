//! Occupancy: how many are in a channel, told to those of them whose protocol has room for it.
//!
//! A change is noted once, however many follow before it is told. So a crowd that comes costs the channel one line per
//! announcement and not one per head, and channels in which nobody is told cost nothing.

use super::channel::Channel;
use super::{Command, Hub, Sink};
use parking_lot::Mutex;
use std::sync::Arc;

/// Channels whose occupancy has changed since it was told.
#[derive(Debug, Default)]
pub(super) struct Changes(Mutex<Vec<Arc<Channel>>>);

impl Changes {
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
    subscribers: u32,
}

impl Announcement {
    /// Returns the command to the shard.
    pub fn command<S>(self) -> Command<S> {
        Command::Announce { channel: self.channel.key(), subscribers: self.subscribers }
    }
}

impl<S: Sink> Hub<S> {
    /// Returns what has to be told since the last call: where the occupancy has changed, one for each shard.
    pub fn take_announcements(&self) -> Vec<Announcement> {
        let changed = std::mem::take(&mut *self.parts.changes.0.lock());
        let mut announcements = Vec::new();
        for channel in changed {
            let (subscribers, shards) = channel.in_order(super::channel::Order::take_change);
            announcements.extend(shards.iter().map(|shard| {
                let channel = Arc::clone(&channel);
                Announcement { shard, channel, subscribers }
            }));
        }
        announcements
    }
}
