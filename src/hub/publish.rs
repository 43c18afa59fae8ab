//! Publishing: a message gets its place in the order of its channel, and into the inboxes of all shards that need it.

use super::channel::{Channel, Order, ShardSet};
use super::channel_key::ChannelKey;
use super::directory::DirectoryFull;
use super::history::{HistoryOptions, Kept};
use super::inbox::{Credit, Inbox};
use super::{Command, Hub, Sink};
use crate::config::ChannelOptions;
use crate::metrics::Metrics;
use crate::protocol::{ChannelName, Epoch, Payload, Publication};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// A shard has no room for a publication: wait for its credits, see [`Credits::wait`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoCredit {
    /// Index of the shard.
    pub shard: usize,
}

/// Where a publication stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Published {
    /// Its number in the channel.
    pub offset: u64,
    /// The incarnation of the channel's history; `None` without history.
    pub epoch: Option<Epoch>,
}

/// Why nothing was published.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum PublishError {
    /// A shard has no room: wait for its credits, see [`Credits::wait`].
    #[error("shard {} has no room", .0.shard)]
    Credit(NoCredit),
    /// The channel does not exist and would be one too many.
    #[error(transparent)]
    Full(#[from] DirectoryFull),
}

impl<S: Sink> Hub<S> {
    /// Returns an account without credits yet, for one publication of that many bytes.
    pub fn credits(&self, bytes: usize) -> Credits<'_, S> {
        Credits { hub: self, held: ShardSet::default(), bytes, at: 0 }
    }

    /// Publishes to every subscriber of a channel and returns the publication's number in it.
    ///
    /// # Hot path
    ///
    /// Once per message: one lock, and one credit and one push per shard with subscribers. Nothing here depends on the
    /// number of subscribers. See `benches/inbox.rs`.
    ///
    /// # Errors
    ///
    /// [`NoCredit`] when a shard has no room: nothing was published; wait for its credits and call again.
    pub fn publish(
        &self,
        channel: &Arc<Channel>,
        payload: &Payload,
        credits: &mut Credits<'_, S>,
    ) -> Result<u64, NoCredit> {
        let (offset, kept) = channel.in_order(|order| self.publish_in(order, channel.key(), payload, credits))?;
        if let Some(kept) = kept {
            self.settle(channel, kept);
        }
        Ok(offset)
    }

    /// Publishes to the channel of that name, which nobody needs to be subscribed to, and returns where the channel
    /// stands then; `None` when nobody is and it keeps nothing.
    ///
    /// # Errors
    ///
    /// [`PublishError`] when a shard has no room, or the channel would be one too many.
    pub fn publish_to(
        &self,
        name: &ChannelName,
        options: &Arc<ChannelOptions>,
        payload: &Payload,
        credits: &mut Credits<'_, S>,
    ) -> Result<Option<Published>, PublishError> {
        loop {
            let channel = match self.parts.directory.get(name) {
                Some(channel) => channel,
                None if HistoryOptions::of(options).is_on() => self.parts.directory.open(name, options)?,
                None => return Ok(None),
            };
            let published = channel.in_order(|order| {
                if order.is_closed {
                    return Ok(None);
                }
                let (offset, kept) = self.publish_in(order, channel.key(), payload, credits)?;
                Ok(Some((Published { offset, epoch: order.position().map(|position| position.epoch) }, kept)))
            });
            if let Some((published, kept)) = published.map_err(PublishError::Credit)? {
                kept.into_iter().for_each(|kept| self.settle(&channel, kept));
                return Ok(Some(published));
            }
            // The last subscriber left between the look-up and the lock.
            self.parts.directory.forget(&channel);
        }
    }

    fn publish_in(
        &self,
        order: &mut Order,
        channel: ChannelKey,
        payload: &Payload,
        credits: &mut Credits<'_, S>,
    ) -> Result<(u64, Option<Kept>), NoCredit> {
        for shard in order.shards().without(credits.held).iter() {
            credits.try_take(shard)?;
        }
        order.offset += 1;
        let publication = Publication { offset: order.offset, at: credits.at, payload: payload.clone() };
        for shard in order.shards().iter() {
            credits.held.remove(shard);
            self.inbox(shard).push_paid(Command::Publish { channel, publication: publication.clone() });
        }
        let kept = order.history.as_mut().map(|history| history.keep(&publication, &self.parts.history));
        Ok((order.offset, kept))
    }

    /// Does what keeping a publication has led to, which must not be done inside the order of a channel.
    pub(super) fn settle(&self, channel: &Arc<Channel>, kept: Kept) {
        if kept.is_first {
            self.parts.keepers.register(channel);
        }
        if kept.is_over_budget {
            let evicted = self.parts.keepers.shrink(&self.parts.history);
            Metrics::add(&self.metrics().process.history_evicted, evicted as u64);
        }
    }
}

/// The credits for one publication, collected shard by shard; what is not spent goes back.
pub struct Credits<'a, S: Sink> {
    hub: &'a Hub<S>,
    pub(super) held: ShardSet,
    bytes: usize,
    at: u64,
}

impl<'a, S: Sink> Credits<'a, S> {
    /// Notes when the publication arrived, as time since the [start](Metrics::started): its latency counts from then.
    pub fn arrived(mut self, at: Duration) -> Self {
        self.at = self.hub.metrics().time_of_day(at);
        self
    }

    pub(super) fn try_take(&mut self, shard: usize) -> Result<(), NoCredit> {
        let Some(credit) = self.hub.inbox(shard).try_credit(self.bytes) else {
            self.release_above(shard);
            return Err(NoCredit { shard });
        };
        self.keep(credit);
        Ok(())
    }

    /// Publishers wait for credits in the order of the shards only: two of them that each held what the other waits for
    /// would wait for ever.
    fn release_above(&mut self, shard: usize) {
        for above in self.held.iter().filter(|held| *held > shard) {
            self.refund(above);
            self.held.remove(above);
        }
    }

    fn refund(&self, shard: usize) {
        self.hub.inbox(shard).refund(Inbox::<S>::cost(self.bytes) as usize);
    }

    /// Returns a future for the credit of one shard; give what it returns to [`Credits::keep`].
    ///
    /// # Cancel safety
    ///
    /// Dropping it costs nothing.
    pub fn wait(&self, shard: usize) -> impl Future<Output = Credit<'a, S>> + use<'a, S> {
        self.hub.inbox(shard).credit(self.bytes)
    }

    /// Keeps the credit of a shard for the next attempt.
    pub fn keep(&mut self, credit: Credit<'a, S>) {
        self.held.insert(credit.shard());
        credit.spend();
    }
}

impl<S: Sink> Drop for Credits<'_, S> {
    fn drop(&mut self) {
        for shard in self.held.iter() {
            self.refund(shard);
        }
    }
}

impl<S: Sink> fmt::Debug for Credits<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credits").field("held", &self.held).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
