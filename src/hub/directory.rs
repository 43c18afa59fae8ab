//! A directory: which channels exist, by name.
//!
//! # Invariants
//!
//! No guard of the concurrent map leaves this file: a guard is a lock, and holding one while asking the map again
//! blocks for ever. Every function returns owned values.

use super::channel::Channel;
use crate::protocol::Encoding;
use crate::protocol::channel_name::ChannelName;
use dashmap::DashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use thiserror::Error;

/// The hub has as many channels as it may have.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the hub has {max} channels, its limit; try again later or raise channels_max")]
pub struct DirectoryFull {
    /// The limit.
    pub max: usize,
}

/// Channel names to channels.
#[derive(Debug)]
pub struct Directory {
    channels: DashMap<ChannelName, Arc<Channel>>,
    channels_max: AtomicUsize,
}

impl Directory {
    pub(super) fn new(channels_max: usize) -> Self {
        Self { channels: DashMap::new(), channels_max: channels_max.into() }
    }

    /// Returns the channel of that name, which is made when there is none.
    ///
    /// # Errors
    ///
    /// [`DirectoryFull`] when it would be one channel too many. Callers that race may exceed the limit by their number.
    pub(super) fn open(&self, name: &ChannelName, encoding: Encoding) -> Result<Arc<Channel>, DirectoryFull> {
        if let Some(channel) = self.channels.get(name) {
            return Ok(Arc::clone(&channel));
        }
        // Counted before the entry is locked: the map may not be asked while a guard is held.
        if self.channels.len() >= self.max() {
            return Err(DirectoryFull { max: self.max() });
        }
        let channel = self.channels.entry(name.clone()).or_insert_with(|| {
            // The name's text is shared with the key of the map.
            Arc::new(Channel::new(name.clone(), encoding))
        });
        Ok(Arc::clone(&channel))
    }

    /// Returns whether the channel exists or may be made, as far as one can know before asking for it.
    pub fn has_room_for(&self, name: &ChannelName) -> bool {
        self.channels.len() < self.max() || self.channels.contains_key(name)
    }

    /// Forgets a channel, unless another one has its name by now.
    pub(super) fn forget(&self, channel: &Arc<Channel>) {
        self.channels.remove_if(channel.name(), |_, known| Arc::ptr_eq(known, channel));
    }

    fn max(&self) -> usize {
        // Relaxed: the number stands for itself.
        self.channels_max.load(Ordering::Relaxed)
    }

    /// Changes how many there may be; those that exist stay.
    pub(super) fn set_max(&self, channels_max: usize) {
        self.channels_max.store(channels_max, Ordering::Relaxed);
    }

    /// Returns all channels. Each part of the map is locked for as long as it takes to copy its pointers.
    pub fn channels(&self) -> Vec<Arc<Channel>> {
        self.channels.iter().map(|entry| Arc::clone(entry.value())).collect()
    }

    /// Returns the number of channels.
    pub fn len(&self) -> usize {
        self.channels.len()
    }

    /// Returns whether there is no channel.
    pub fn is_empty(&self) -> bool {
        self.channels.is_empty()
    }
}
