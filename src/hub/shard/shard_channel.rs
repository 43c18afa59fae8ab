//! An audience: the subscribers that one channel has on one shard, and the log they read from.

use super::log::Log;
use crate::hub::channel::{Channel, ChannelKey};
use crate::protocol::Encoding;
use slab::Slab;
use std::collections::HashMap;
use std::sync::Arc;

/// A connection's place in a channel.
///
/// Sixteen bytes, and nothing else is kept per subscriber however far behind it is.
#[derive(Clone, Copy, Debug)]
pub struct Subscription {
    /// Position in the log up to which everything was sent, always a message edge.
    pub cursor: u64,
    /// The connection's slot.
    pub slot: u32,
}

/// The subscribers of one channel on one shard.
#[derive(Debug)]
pub(super) struct ShardChannel {
    pub(super) channel: Arc<Channel>,
    /// That of the channel, at hand.
    pub(super) encoding: Encoding,
    pub(super) log: Log,
    pub(super) subscriptions: Vec<Subscription>,
    /// Where every subscriber stands that is neither parked nor new: the end of the last round.
    pub(super) settled: u64,
    /// Who is served first in the next round, so that nobody is always last.
    pub(super) first: usize,
    /// Whether a fan-out is due.
    pub(super) is_touched: bool,
    /// Whether the log is on the list of those that laggards keep.
    pub(super) is_retained: bool,
}

impl ShardChannel {
    /// Forgets what every subscriber has.
    pub(super) fn trim(&mut self) {
        let least = self.subscriptions.iter().map(|subscription| subscription.cursor).min();
        self.log.trim(least.unwrap_or_else(|| self.log.head()));
    }
}

/// Every audience of a shard, by number and by channel.
#[derive(Debug, Default)]
pub(super) struct ShardChannels {
    all: Slab<ShardChannel>,
    numbers: HashMap<ChannelKey, usize>,
}

impl ShardChannels {
    pub(super) fn number(&self, channel: ChannelKey) -> Option<usize> {
        self.numbers.get(&channel).copied()
    }

    pub(super) fn get(&self, number: usize) -> Option<&ShardChannel> {
        self.all.get(number)
    }

    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut ShardChannel> {
        self.all.get_mut(number)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &ShardChannel> {
        self.all.iter().map(|(_, audience)| audience)
    }

    /// Returns the number of the channel's audience, which is made when it is the first subscriber.
    pub(super) fn open(&mut self, channel: Arc<Channel>) -> usize {
        *self.numbers.entry(channel.key()).or_insert_with(|| {
            self.all.insert(ShardChannel {
                encoding: channel.encoding(),
                channel,
                log: Log::default(),
                subscriptions: Vec::new(),
                settled: 0,
                first: 0,
                is_touched: false,
                is_retained: false,
            })
        })
    }

    /// Forgets an audience that nobody is left in.
    pub(super) fn close_if_empty(&mut self, number: usize) {
        if self.all.get(number).is_some_and(|audience| audience.subscriptions.is_empty()) {
            let audience = self.all.remove(number);
            self.numbers.remove(&audience.channel.key());
        }
    }
}
