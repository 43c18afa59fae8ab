//! What subscribers are told of publications that were lost before they came here.

use super::state::Shard;
use super::todo::Exit;
use crate::config::SlowConsumer;
use crate::hub::Sink;
use crate::hub::channel_key::ChannelKey;
use crate::protocol::CloseReason;

impl<S: Sink> Shard<S> {
    /// Tells the subscribers of a channel that they will not get some publications, at this point of its order: by a
    /// notice where the channel lets slow subscribers skip, and by the end of the connection elsewhere. Returns the
    /// bytes appended to logs.
    pub(super) fn declare_gap(&mut self, channel: ChannelKey) -> usize {
        let mut next = self.channels.find(channel);
        let (mut appended, mut closing) = (0, Vec::new());
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
                None => closing.extend(channel.subscriptions.iter().map(|subscription| subscription.slot)),
            }
        }
        for slot in closing {
            // At once: nothing that was published after the gap may reach the client, whose position would be after it.
            self.exit(slot, Exit::Close(CloseReason::InsufficientState));
        }
        appended
    }
}
