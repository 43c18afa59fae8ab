//! A channel: a named set of subscribers with one order of messages.
//!
//! Its short lock *is* the order: under it a publication gets its number and enters the inbox of every shard with
//! subscribers, and under it a subscriber is added. So what a subscriber sees begins at one point of the order and has
//! no gap, without a merge step.

use super::ConnectionId;
use super::id::SHARDS_MAX;
use crate::config::ChannelOptions;
use crate::protocol::Encoding;
use crate::protocol::channel_name::ChannelName;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Names a channel for as long as it exists; a channel made anew under the same name has another key.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ChannelKey(u64);

impl ChannelKey {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Relaxed: numbers only have to differ.
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// A named set of subscribers with one order of messages.
#[derive(Debug)]
pub struct Channel {
    key: ChannelKey,
    name: ChannelName,
    encoding: Encoding,
    order: Mutex<Order>,
}

/// Activity of a channel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ChannelStats {
    /// Connections that are subscribed.
    pub subscribers: u32,
    /// Publications since the channel exists.
    pub publications: u64,
}

/// What the lock protects.
#[derive(Debug)]
pub(super) struct Order {
    /// Number of the newest publication; the first is 1.
    pub(super) offset: u64,
    /// Subscribers per shard.
    subscribers: SmallVec<[u32; 4]>,
    shards: ShardSet,
    /// The last subscriber has left and the directory removes the channel: a holder must look it up again.
    pub(super) is_closed: bool,
    /// Those of the newest subscription.
    options: Arc<ChannelOptions>,
}

impl Channel {
    pub(super) fn new(name: ChannelName, encoding: Encoding, options: Arc<ChannelOptions>) -> Self {
        let order =
            Order { offset: 0, subscribers: SmallVec::new(), shards: ShardSet::default(), is_closed: false, options };
        Self { key: ChannelKey::next(), name, encoding, order: Mutex::new(order) }
    }

    /// Returns the key that shards know the channel by.
    pub fn key(&self) -> ChannelKey {
        self.key
    }

    /// Returns the name that subscribers know the channel by.
    pub fn name(&self) -> &ChannelName {
        &self.name
    }

    /// Returns how publications stand in the logs of this channel.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Returns its options: those of the newest subscription.
    pub fn options(&self) -> Arc<ChannelOptions> {
        Arc::clone(&self.order.lock().options)
    }

    /// Returns the number of subscribers.
    pub fn subscribers(&self) -> u32 {
        self.stats().subscribers
    }

    /// Returns its activity.
    pub fn stats(&self) -> ChannelStats {
        let order = self.order.lock();
        ChannelStats { subscribers: order.subscribers(), publications: order.offset }
    }

    /// Runs `f` at one point of the channel's order.
    pub(super) fn in_order<R>(&self, f: impl FnOnce(&mut Order) -> R) -> R {
        f(&mut self.order.lock())
    }
}

impl Order {
    pub(super) fn shards(&self) -> ShardSet {
        self.shards
    }

    /// Returns the number of subscribers.
    fn subscribers(&self) -> u32 {
        self.subscribers.iter().sum()
    }

    /// Returns whether these options let one more subscriber in.
    pub(super) fn has_room(&self, options: &ChannelOptions) -> bool {
        let max = options.subscribers_max();
        // Without a limit, which is the default, nothing is added up.
        max == u32::MAX || self.subscribers() < max
    }

    /// Follows the options of a new subscription from here on.
    pub(super) fn set_options(&mut self, options: &Arc<ChannelOptions>) {
        if !Arc::ptr_eq(&self.options, options) {
            self.options = Arc::clone(options);
        }
    }

    pub(super) fn add(&mut self, id: ConnectionId) {
        if self.subscribers.len() <= id.shard() {
            self.subscribers.resize(id.shard() + 1, 0);
        }
        self.subscribers[id.shard()] += 1;
        self.shards.insert(id.shard());
    }

    /// Returns whether the channel is empty now, and so closed.
    pub(super) fn remove(&mut self, id: ConnectionId) -> bool {
        self.subscribers[id.shard()] -= 1;
        if self.subscribers[id.shard()] == 0 {
            self.shards.remove(id.shard());
        }
        self.is_closed = self.shards.is_empty();
        self.is_closed
    }
}

/// A set of shards, one bit each.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct ShardSet(u64);

const _: () = assert!(SHARDS_MAX <= u64::BITS as usize, "a shard is a bit of a u64");

impl ShardSet {
    pub(super) fn insert(&mut self, shard: usize) {
        self.0 |= 1 << shard;
    }

    pub(super) fn remove(&mut self, shard: usize) {
        self.0 &= !(1 << shard);
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the shards that are in this set and not in the other.
    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn iter(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            (left != 0).then(|| {
                let shard = left.trailing_zeros() as usize;
                left &= left - 1;
                shard
            })
        })
    }
}
