//! What subscribers are told of publications that were lost before they came here.

use super::connection::Phase;
use super::state::Shard;
use super::todo::Exit;
use crate::config::SlowConsumer;
use crate::hub::channel_key::ChannelKey;
use crate::hub::id::Slot;
use crate::hub::{OnLag, Sink};
use crate::protocol::CloseReason;

impl<S: Sink> Shard<S> {
    /// Tells the subscribers of a channel that they will not get some publications, at this point of its order. A
    /// positioned subscription ends, and its client makes it again and learns what it can get. Others get a notice
    /// where the channel lets slow subscribers skip, and the end of their connection elsewhere. Returns the bytes
    /// appended to logs.
    pub(super) fn declare_gap(&mut self, channel: ChannelKey) -> usize {
        let mut next = self.channels.find(channel);
        let (mut appended, mut told) = (0, Vec::new());
        while let Some(index) = next {
            let Some(channel) = self.channels.get_mut(index) else { break };
            next = channel.sibling;
            let policy = channel.channel.options().slow_consumer.unwrap_or(self.limits.slow_consumer);
            match channel.encoding.lost().filter(|_| policy == SlowConsumer::Skip) {
                Some(notice) => {
                    channel.log.push_notice(&notice);
                    appended += notice.len();
                    if !std::mem::replace(&mut channel.is_touched, true) {
                        self.rounds.touched.push(index);
                    }
                }
                None => told.extend(channel.subscriptions.iter().map(|one| (one.slot, one.on_lag))),
            }
        }
        // At once: nothing that was published after the gap may reach these clients, whose position would be after it.
        for (slot, on_lag) in told {
            match on_lag {
                OnLag::Resubscribe if self.is_open(slot) => self.end_subscriptions(slot, |shard, one| {
                    shard.channels.get(one.channel).is_some_and(|one| one.channel.key() == channel)
                }),
                _ => self.exit(slot, Exit::Close(CloseReason::InsufficientState)),
            }
        }
        appended
    }

    fn is_open(&self, slot: Slot) -> bool {
        self.connections.get(slot).is_some_and(|connection| connection.phase == Phase::Open)
    }
}
