//! A channel on one shard: its subscribers there, and the log that they read from.

use super::log::Log;
use crate::hub::channel::Channel;
use crate::hub::channel_key::{ChannelKey, ChannelMap};
use crate::hub::id::Slot;
use crate::hub::lagging::OnLag;
use crate::protocol::centrifuge::Chain;
use crate::protocol::encoding::Encoded;
use crate::protocol::{Encoding, PresenceEvent, Publication};
use slab::Slab;
use std::sync::Arc;

/// A subscription of a connection to a channel.
///
/// Sixteen bytes, and nothing else is kept per subscriber, however far it lags.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subscription {
    /// Position in the log up to which everything was sent, always a message edge.
    pub(super) cursor: u64,
    /// The connection's slot.
    pub(super) slot: Slot,
    /// What becomes of it if it lags.
    pub(super) on_lag: OnLag,
}

const _: () = assert!(size_of::<Subscription>() <= 16, "every subscriber pays for it");

/// The subscribers of one channel on one shard that get it in one encoding.
#[derive(Debug)]
pub(super) struct ShardChannel {
    pub(super) channel: Arc<Channel>,
    pub(super) encoding: Encoding,
    /// What every publication begins with.
    start: Box<[u8]>,
    /// What the subscribers have of the publication before, where that is how they get the next one.
    chain: Chain,
    /// The same channel in another encoding, if a subscriber gets it in one.
    pub(super) sibling: Option<ChannelIndex>,
    pub(super) log: Log,
    pub(super) subscriptions: Vec<Subscription>,
    /// End of the last round: the cursor of every subscriber that is neither parked nor new.
    pub(super) round_end: u64,
    /// Index of the subscriber that is served first in the next round: it rotates, so that none is always last.
    pub(super) first: usize,
    /// Whether a fan-out is due.
    pub(super) is_touched: bool,
    /// Whether the channel is on the list of those whose logs slow subscribers keep.
    pub(super) is_retained: bool,
}

impl ShardChannel {
    /// Appends a publication to the log.
    #[inline]
    pub(super) fn append(&mut self, publication: &Publication) {
        match self.encoding.encode(&self.start, publication, &mut self.chain) {
            Encoded::AsPublished => self.log.push(&publication.payload.data),
            Encoded::Framed(prefix, body) => self.log.push_framed(prefix.as_slice(), &body),
            Encoded::Push(prefix, data, suffix) => self.log.push_parts(prefix, &data, suffix),
        }
    }

    /// Adds a subscriber, and returns its index. It has nothing of what was published before, so it gets the next
    /// publication whole, and with it everyone.
    pub(super) fn add(&mut self, subscription: Subscription) -> usize {
        self.chain.restart();
        self.subscriptions.push(subscription);
        self.subscriptions.len() - 1
    }

    /// Appends how many subscribers there are, and who has joined and left, as far as the encoding has room for it.
    /// Returns the bytes of it.
    pub(super) fn announce(&mut self, subscribers: Option<u32>, events: &[PresenceEvent]) -> usize {
        let before = self.log.head();
        if let Some(line) = subscribers.and_then(|subscribers| self.encoding.occupancy(subscribers)) {
            self.log.push_notice(&line);
        }
        if self.encoding.tells_presence() {
            let mut message = Vec::new();
            for event in events {
                message.clear();
                self.encoding.presence_event(self.channel.name().as_str(), event, &mut message);
                self.log.push_notice(&message);
            }
        }
        usize::try_from(self.log.head() - before).unwrap_or(usize::MAX)
    }

    /// Appends the publications of `from..to` to `frame` as one frame.
    pub(super) fn push_frame(&self, frame: &mut Vec<u8>, from: u64, to: u64) {
        let (head, mut left) = self.encoding.frame(usize::try_from(to - from).unwrap_or(usize::MAX));
        frame.extend_from_slice(head.as_slice());
        for slice in self.log.slices(from, to) {
            let slice = &slice[..slice.len().min(left)];
            left -= slice.len();
            frame.extend_from_slice(slice);
        }
    }

    /// Drops from the log what every subscriber has.
    pub(super) fn trim(&mut self) {
        let least = self.subscriptions.iter().map(|subscription| subscription.cursor).min();
        self.log.trim(least.unwrap_or_else(|| self.log.head()));
    }
}

/// Index of a channel in the table of a shard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct ChannelIndex(u32);

impl ChannelIndex {
    #[expect(clippy::cast_possible_truncation, reason = "a shard has at most as many channels as subscriptions")]
    const fn new(index: usize) -> Self {
        Self(index as u32)
    }

    const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The channels with subscribers on a shard, by index and by key.
#[derive(Debug, Default)]
pub(super) struct ShardChannels {
    all: Slab<ShardChannel>,
    /// The first of each channel; one more per encoding follows by [`ShardChannel::sibling`].
    firsts: ChannelMap<ChannelIndex>,
}

impl ShardChannels {
    /// Returns the first of a channel.
    pub(super) fn find(&self, key: ChannelKey) -> Option<ChannelIndex> {
        self.firsts.get(&key).copied()
    }

    pub(super) fn get(&self, index: ChannelIndex) -> Option<&ShardChannel> {
        self.all.get(index.index())
    }

    pub(super) fn get_mut(&mut self, index: ChannelIndex) -> Option<&mut ShardChannel> {
        self.all.get_mut(index.index())
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &ShardChannel> {
        self.all.iter().map(|(_, channel)| channel)
    }

    /// Returns the index of a channel in an encoding, adding it with its first subscriber.
    pub(super) fn open(&mut self, channel: Arc<Channel>, encoding: Encoding) -> ChannelIndex {
        let first = self.find(channel.key());
        if let Some(known) = self.siblings(first).find(|index| self.all[index.index()].encoding == encoding) {
            return known;
        }
        let key = channel.key();
        let start = encoding.start(channel.name());
        let index = ChannelIndex::new(self.all.insert(ShardChannel {
            channel,
            start,
            chain: Chain::default(),
            encoding,
            sibling: first,
            log: Log::default(),
            subscriptions: Vec::new(),
            round_end: 0,
            first: 0,
            is_touched: false,
            is_retained: false,
        }));
        self.firsts.insert(key, index);
        index
    }

    /// Removes a channel that has no subscribers left.
    pub(super) fn close_if_empty(&mut self, index: ChannelIndex) {
        if !self.get(index).is_some_and(|channel| channel.subscriptions.is_empty()) {
            return;
        }
        let removed = self.all.remove(index.index());
        let first = self.find(removed.channel.key());
        if first != Some(index) {
            let before = self.siblings(first).find(|one| self.all[one.index()].sibling == Some(index));
            if let Some(before) = before.and_then(|before| self.get_mut(before)) {
                before.sibling = removed.sibling;
            }
        } else if let Some(sibling) = removed.sibling {
            self.firsts.insert(removed.channel.key(), sibling);
        } else {
            self.firsts.remove(&removed.channel.key());
        }
    }

    /// Returns a channel in one encoding after the other, beginning with `first`.
    fn siblings(&self, first: Option<ChannelIndex>) -> impl Iterator<Item = ChannelIndex> {
        std::iter::successors(first, |index| self.get(*index)?.sibling)
    }
}
