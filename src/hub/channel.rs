//! A channel: a named set of subscribers with one order of messages.
//!
//! Its short lock *is* the order: under it a publication gets its number and enters the inbox of every shard with
//! subscribers, and under it a subscriber is added. So what a subscriber sees begins at one point of the order and has
//! no gap, without a merge step.

use super::ConnectionId;
use super::channel_key::ChannelKey;
use super::history::{Budget, History, HistoryOptions, Origin};
use super::id::SHARDS_MAX;
use super::presence::{Event, Members, Presence};
use crate::config::ChannelOptions;
use crate::protocol::channel_name::ChannelName;
use crate::protocol::position::Position;
use crate::protocol::presence::Profile;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::sync::Arc;

/// A named set of subscribers with one order of messages.
#[derive(Debug)]
pub struct Channel {
    key: ChannelKey,
    name: ChannelName,
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
    /// Number of the newest publication; the first is 1. Where a log numbers them, the sequence number up to which it
    /// is known that there is no other.
    pub(super) offset: u64,
    /// Subscribers per shard.
    subscribers: SmallVec<[u32; 4]>,
    shards: ShardSet,
    /// What some subscriber is told, or was.
    told: Told,
    /// Something has changed since it was told.
    has_changed: bool,
    /// Who is there, if the channel knows it.
    presence: Option<Box<Presence>>,
    /// What was published last, if the channel keeps it.
    pub(super) history: Option<Box<History>>,
    /// Nobody needs the channel and the directory removes it: a holder must look it up again.
    pub(super) is_closed: bool,
    /// Those of the newest subscription.
    pub(super) options: Arc<ChannelOptions>,
}

impl Channel {
    /// Returns a channel without subscribers. `origin` says where its history begins.
    pub(super) fn new(
        name: ChannelName,
        options: &Arc<ChannelOptions>,
        origin: impl FnOnce() -> Origin,
    ) -> Self {
        let (key, kept) = (ChannelKey::next(), HistoryOptions::of(options));
        let history = kept.is_on().then(|| Box::new(History::new(origin(), kept, 0)));
        let mut order = Order {
            offset: 0,
            subscribers: SmallVec::new(),
            shards: ShardSet::default(),
            told: Told::default(),
            has_changed: false,
            presence: None,
            history,
            is_closed: false,
            options: Arc::clone(options),
        };
        order.follow_presence();
        Self { key, name, order: Mutex::new(order) }
    }

    /// Returns the key that shards know the channel by.
    pub fn key(&self) -> ChannelKey {
        self.key
    }

    /// Returns the name that subscribers know the channel by.
    pub fn name(&self) -> &ChannelName {
        &self.name
    }

    /// Returns its options: those of the newest subscription, or of the newest load of the configuration.
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

    /// Returns where its history stands; `None` without history.
    pub fn position(&self) -> Option<Position> {
        self.order.lock().position()
    }

    /// Returns the bytes of its history.
    pub(super) fn history_bytes(&self) -> usize {
        self.order.lock().history.as_ref().map_or(0, |history| history.bytes())
    }

    /// Drops the oldest publications until at most `bytes` are left, and returns how many these were.
    pub(super) fn shrink_history(&self, bytes: usize, budget: &Budget) -> usize {
        let shrink = |history: &mut History| {
            let before = history.len();
            history.shrink_to(bytes);
            before - history.len()
        };
        self.order.lock().change_history(budget, shrink).unwrap_or(0)
    }

    /// Drops what is too old at `now`. Returns whether nobody needs the channel any more, which is closed then.
    pub(super) fn expire_history(&self, now: u64, budget: &Budget) -> bool {
        let order = &mut *self.order.lock();
        order.expire_history(now, budget);
        order.close_if_unused()
    }

    /// Drops everything from its history. Returns whether nobody needs the channel any more, which is closed then.
    pub(super) fn clear_history(&self, budget: &Budget) -> bool {
        let order = &mut *self.order.lock();
        order.change_history(budget, History::clear);
        order.close_if_unused()
    }

    /// Returns the offset after which its history has everything; `None` without history.
    pub(super) fn history_floor(&self) -> Option<u64> {
        self.order.lock().history.as_ref().map(|history| history.floor())
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

    /// Follows these options from here on, unless it follows newer ones.
    pub(super) fn follow(&mut self, options: &Arc<ChannelOptions>, budget: &Budget, origin: impl FnOnce() -> Origin) {
        // A handshake may have begun before a reload and end after it: what it found is no longer true.
        if Arc::ptr_eq(&self.options, options) || options.revision < self.options.revision {
            return;
        }
        self.options = Arc::clone(options);
        self.follow_presence();
        let kept = HistoryOptions::of(options);
        match (&mut self.history, kept.is_on()) {
            (Some(history), true) => history.set_options(kept),
            (Some(history), false) => {
                budget.count(history.bytes(), 0);
                self.history = None;
            }
            (None, true) => self.history = Some(Box::new(History::new(origin(), kept, self.offset))),
            (None, false) => {}
        }
    }

    fn follow_presence(&mut self) {
        let options = &self.options.options;
        let (is_on, is_told) = (options.presence, options.join_leave);
        match (is_on, &mut self.presence) {
            (false, _) => self.presence = None,
            (true, Some(presence)) => presence.tell_changes(is_told),
            (true, None) => {
                let mut presence = Box::new(Presence::new(self.subscribers()));
                presence.tell_changes(is_told);
                self.presence = Some(presence);
            }
        }
    }

    /// Returns who is there.
    pub(super) fn members(&mut self) -> Members {
        self.presence.as_mut().map(|presence| presence.ask()).unwrap_or_default()
    }

    /// Returns the number of members that are known.
    pub(super) fn known_members(&self) -> usize {
        self.presence.as_ref().map_or(0, |presence| presence.len())
    }

    /// Adds a subscriber. Returns whether the change has to be noted.
    pub(super) fn add(&mut self, id: ConnectionId, newcomer: Newcomer<'_>) -> bool {
        if self.subscribers.len() <= id.shard() {
            self.subscribers.resize(id.shard() + 1, 0);
        }
        self.subscribers[id.shard()] += 1;
        self.shards.insert(id.shard());
        self.told.count |= newcomer.told.count;
        self.told.events |= newcomer.told.events;
        if let Some(presence) = &mut self.presence {
            presence.join(id, newcomer.info, self.told.events);
        }
        self.change()
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Removed {
        self.subscribers[id.shard()] -= 1;
        if self.subscribers[id.shard()] == 0 {
            self.shards.remove(id.shard());
        }
        if let Some(presence) = &mut self.presence {
            presence.leave(id, self.told.events);
        }
        if self.close_if_unused() { Removed::Last } else { Removed::One { is_change: self.change() } }
    }

    /// Returns whether a change is the first since the last one was told.
    fn change(&mut self) -> bool {
        (self.told.count || self.has_untold()) && !std::mem::replace(&mut self.has_changed, true)
    }

    fn has_untold(&self) -> bool {
        self.presence.as_ref().is_some_and(|presence| presence.has_untold())
    }

    /// Returns what is going to be told to subscribers of a channel whose name has so many bytes.
    pub(super) fn take_change(&mut self, name_bytes: usize) -> Change {
        let subscribers = self.subscribers();
        let events = self.presence.as_mut().map(|presence| presence.take_events(subscribers, name_bytes));
        self.has_changed = self.has_untold();
        Change {
            subscribers: self.told.count.then_some(subscribers),
            shards: self.shards,
            events: events.unwrap_or_default(),
            is_more: self.has_changed,
        }
    }

    /// Closes the channel if it has no subscribers and keeps nothing.
    pub(super) fn close_if_unused(&mut self) -> bool {
        self.is_closed = self.shards.is_empty() && self.history.as_ref().is_none_or(|history| history.is_empty());
        self.is_closed
    }

    /// Drops what is too old at `now`, in microseconds since 1970.
    pub(super) fn expire_history(&mut self, now: u64, budget: &Budget) {
        self.change_history(budget, |history| history.trim(now));
    }

    /// Notes that nothing was published since, up to this offset.
    pub(super) fn advance(&mut self, offset: u64) {
        if offset > self.offset {
            self.offset = offset;
            self.history.iter_mut().for_each(|history| history.advance(offset));
        }
    }

    pub(super) fn change_history<R>(&mut self, budget: &Budget, change: impl FnOnce(&mut History) -> R) -> Option<R> {
        let history = self.history.as_mut()?;
        let before = history.bytes();
        let result = change(history);
        budget.count(before, history.bytes());
        Some(result)
    }

    /// Returns where the history stands.
    pub(super) fn position(&self) -> Option<Position> {
        self.history.as_ref().map(|history| Position { epoch: history.epoch(), offset: self.offset })
    }
}

/// What a subscriber is told of the others in its channel.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    /// How many there are.
    pub(super) count: bool,
    /// Who joins and leaves, where the channel tells that.
    pub(super) events: bool,
}

/// What a channel has to know of a new subscriber.
#[derive(Clone, Copy, Debug)]
pub(super) struct Newcomer<'a> {
    /// What it is told of the others.
    pub(super) told: Told,
    /// What others may know of it.
    pub(super) info: &'a Option<Arc<Profile>>,
}

/// What has changed since it was told.
#[derive(Debug)]
pub(super) struct Change {
    /// The number of subscribers, if any of them is told that.
    pub(super) subscribers: Option<u32>,
    /// Where they are.
    pub(super) shards: ShardSet,
    /// Who has joined and left.
    pub(super) events: Vec<Event>,
    /// Something is left for the next time.
    pub(super) is_more: bool,
}

/// What is left when a subscriber was removed.
pub(super) enum Removed {
    /// Others, or a history. The change may have to be noted.
    One { is_change: bool },
    /// Nothing: the channel is closed.
    Last,
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
