//! The directory: which channels exist, by name.
//!
//! # Invariants
//!
//! No guard of the concurrent map leaves this file: a guard is a lock, and a call of the map while one is held blocks
//! for ever. Every function returns owned values.

use super::channel::Channel;
use super::history::Origin;
use super::partition::{Partition, Partitions};
use crate::config::ChannelOptions;
use crate::protocol::Epoch;
use crate::protocol::channel_name::ChannelName;
use dashmap::{DashMap, Entry};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use thiserror::Error;

/// The hub has all the channels it may have.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the hub has {max} channels, its limit; try again later or raise channels_max")]
pub struct DirectoryFull {
    /// The limit, `channels_max`.
    pub max: usize,
}

/// Channel names to channels.
#[derive(Debug)]
pub struct Directory {
    channels: DashMap<ChannelName, Arc<Channel>>,
    channels_max: AtomicUsize,
    /// Random, and another one in each process: epochs are made of it.
    seed: RandomState,
    /// How many channels that had publications are gone, by the hash of their names.
    lives: Box<[AtomicU64]>,
    /// Those of the cluster.
    partitions: OnceLock<Arc<Partitions>>,
}

/// Parts of the names for which gone channels are counted: 8 KiB, and a part is seldom shared.
const LIVES: usize = 1024;

impl Directory {
    pub(super) fn new(channels_max: usize) -> Self {
        let lives = (0..LIVES).map(|_| AtomicU64::new(0)).collect();
        Self {
            channels: DashMap::new(),
            channels_max: channels_max.into(),
            seed: RandomState::new(),
            lives,
            partitions: OnceLock::new(),
        }
    }

    /// Returns the channel of that name, and creates it if there is none.
    ///
    /// # Errors
    ///
    /// [`DirectoryFull`] when it would be one channel too many. Callers that race may exceed the limit by their number.
    pub(super) fn open(
        &self,
        name: &ChannelName,
        options: &Arc<ChannelOptions>,
    ) -> Result<Arc<Channel>, DirectoryFull> {
        if let Some(channel) = self.channels.get(name) {
            return Ok(Arc::clone(&channel));
        }
        // Counted before the entry is locked: the map must not be called while a guard is held.
        if self.channels.len() >= self.max() {
            return Err(DirectoryFull { max: self.max() });
        }
        let channel = self.channels.entry(name.clone()).or_insert_with(|| {
            // The text of the name is shared with the key of the map.
            Arc::new(Channel::new(name.clone(), options, || self.origin(name, options)))
        });
        Ok(Arc::clone(&channel))
    }

    /// Returns the channel of that name, if there is one.
    pub fn get(&self, name: &ChannelName) -> Option<Arc<Channel>> {
        self.channels.get(name).map(|channel| Arc::clone(&channel))
    }

    /// Returns the epoch of a channel that begins now.
    ///
    /// It is that of the last one with this name if nothing was published in it: a client that was there alone is not
    /// told that it may have missed something, and nothing has to be kept for it.
    fn epoch(&self, name: &ChannelName) -> Epoch {
        // Acquire: comes after the increment by the thread that has removed the channel of that name from the map.
        let lives = self.lives_of(name).load(Ordering::Acquire);
        Epoch::new(self.seed.hash_one((name, lives)).max(1))
    }

    fn lives_of(&self, name: &ChannelName) -> &AtomicU64 {
        let part = self.seed.hash_one(name) % LIVES as u64;
        &self.lives[usize::try_from(part).unwrap_or_default()]
    }

    /// Returns the channel of that name. If there is none, runs `note`, and nobody can open it meanwhile.
    pub(super) fn get_or_note(&self, name: &ChannelName, note: impl FnOnce()) -> Option<Arc<Channel>> {
        match self.channels.entry(name.clone()) {
            Entry::Occupied(channel) => Some(Arc::clone(channel.get())),
            Entry::Vacant(_) => {
                note();
                None
            }
        }
    }

    /// Returns the channels of a partition.
    pub(super) fn channels_of(&self, partition: &Partition) -> Vec<Arc<Channel>> {
        let is_in = |channel: &Arc<Channel>| {
            self.partition(channel.name()).is_some_and(|known| known.index() == partition.index())
        };
        let mut channels = self.channels();
        channels.retain(is_in);
        channels
    }

    /// Returns where the history of a channel begins that begins now.
    pub(super) fn origin(&self, name: &ChannelName, options: &ChannelOptions) -> Origin {
        match self.partition(name) {
            None => Origin { epoch: self.epoch(name), floor: None },
            Some(partition) => {
                partition.follow_revision(options.revision);
                partition.origin()
            }
        }
    }

    pub(super) fn set_partitions(&self, partitions: &Arc<Partitions>) {
        // The first ones stay.
        let _ = self.partitions.set(Arc::clone(partitions));
    }

    /// Returns the partition of a channel; `None` if this hub numbers its publications.
    pub(super) fn partition(&self, name: &ChannelName) -> Option<&Partition> {
        self.partitions.get().filter(|_| !name.is_private()).map(|partitions| partitions.of(name))
    }

    /// Returns whether the channel exists or may be created. Only a hint: the answer may change before the channel is
    /// opened.
    pub fn has_room_for(&self, name: &ChannelName) -> bool {
        self.channels.len() < self.max() || self.channels.contains_key(name)
    }

    /// Returns the number of subscribers of the channel of that name. Only a hint, as above.
    pub fn subscribers(&self, name: &ChannelName) -> u32 {
        let channel = self.channels.get(name).map(|channel| Arc::clone(&channel));
        channel.map_or(0, |channel| channel.subscribers())
    }

    /// Removes a channel, unless a newer one has its name by now.
    pub(super) fn forget(&self, channel: &Arc<Channel>) {
        let partition = self.partition(channel.name());
        let (publications, floor) = (channel.stats().publications, channel.history_floor());
        self.channels.remove_if(channel.name(), |name, known| {
            let is_it = Arc::ptr_eq(known, channel);
            // Before it can be opened anew.
            match (is_it, partition, floor) {
                // What it has dropped is not known to the next one either.
                (true, Some(partition), Some(floor)) if floor.epoch == partition.epoch() => {
                    partition.raise_floor(floor.offset);
                }
                // An epoch in which something was published is never used again.
                (true, None, _) if publications > 0 => {
                    self.lives_of(name).fetch_add(1, Ordering::Release);
                }
                _ => {}
            }
            is_it
        });
    }

    fn max(&self) -> usize {
        // Relaxed: the number orders nothing else.
        self.channels_max.load(Ordering::Relaxed)
    }

    /// Changes the most channels there may be. Channels beyond it stay.
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
