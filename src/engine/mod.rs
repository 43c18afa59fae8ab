//! The engine: gives a publication its place in the order of its channel, and keeps what was published.
//!
//! Publishing is not delivering. With [`Engine::Memory`] both are one synchronous step under the channel's lock;
//! sessions and the API call only this, so that another engine may decide the order elsewhere.

pub mod merged;
pub mod nats;
pub mod replies;

use crate::config::ChannelOptions;
use crate::hub::{
    Channel, Command, ConnectionId, Credits, DirectoryFull, EncodeOpening, Full, HistoryOptions, HistoryPage,
    HistoryQuery, Hub, HubId, NoCredit, Opening, PresenceStats, PublishError, Published, Sink, SubscribeError,
    SubscribeOptions, Subscribed, UnknownPosition,
};
use crate::metrics::Metrics;
use crate::protocol::{ChannelName, Payload};
use bytes::Bytes;
use merged::{ChannelCounts, Merged, PresentClients, list_channels};
use nats::in_order::Turn;
use nats::peers::{LocalHub, Outcomes, PeerCommand, PeersView};
use nats::refused::Refused;
use nats::{Nats, NotFollowed, Unusable};
use replies::ReplyBudget;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::time::Instant;

/// Bytes that a reply to a subscription without publications has at most, but for data that its token asks for.
const REPLY_OF_SUBSCRIBE: usize = 512;

/// Why a subscription was not made.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum NotSubscribed {
    /// There is no place for it.
    #[error(transparent)]
    Full(Full),
    /// Its client does not want it: it cannot get everything that it missed.
    #[error("the client does not want it")]
    Declined,
    /// The hub cannot say where the channel stands, since it does not follow its partition yet.
    #[error("the hub does not follow the channel: NATS does not answer")]
    NotFollowed,
}

/// Why something was not published.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum NotPublished {
    /// The channel would be one too many.
    #[error(transparent)]
    Full(#[from] DirectoryFull),
    /// The cluster did not take it.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Why a history was not read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotRead {
    /// The position is not of this incarnation of the channel.
    UnknownPosition,
    /// The hub does not follow its partition yet.
    NotFollowed,
}

/// Where the order of the channels is decided. Cloning counts a reference.
pub enum Engine<S: Sink> {
    /// In this process: what is published here is delivered here.
    Memory(Hub<S>),
    /// In streams of NATS JetStream: what is published comes back to every hub of the cluster.
    Nats(Arc<Nats<S>>),
}

impl<S: Sink> Engine<S> {
    /// Returns the hub that delivers.
    pub fn hub(&self) -> &Hub<S> {
        match self {
            Self::Memory(hub) => hub,
            Self::Nats(nats) => nats.hub(),
        }
    }

    /// Returns the time since the hub's start.
    pub fn now(&self) -> Duration {
        Instant::now().duration_since(Instant::from_std(self.hub().metrics().started()))
    }

    /// Returns the time of day, in microseconds since 1970.
    pub fn time_of_day(&self) -> u64 {
        self.hub().metrics().time_of_day(self.now())
    }

    /// Subscribes a connection to the channel of that name, as soon as its shard has room.
    ///
    /// # Errors
    ///
    /// [`NotSubscribed`] says why there is no place for it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future subscribes to nothing.
    pub async fn subscribe(
        &self,
        id: ConnectionId,
        name: &ChannelName,
        mut options: SubscribeOptions,
    ) -> Result<Subscribed, NotSubscribed> {
        self.prepare(name, &options).await?;
        let hub = self.hub();
        let mut bytes = 0;
        loop {
            let credit = hub.inbox(id.shard()).credit(bytes).await;
            options.now = self.time_of_day();
            match hub.subscribe(id, name, &options, credit) {
                Ok(subscribed) => return Ok(subscribed),
                Err(SubscribeError::Full(full)) => return Err(NotSubscribed::Full(full)),
                Err(SubscribeError::Credit { bytes: needed }) => bytes = needed,
                // Only an opening can be declined, and there is none.
                Err(SubscribeError::Declined) => bytes = 0,
            }
        }
    }

    /// Subscribes a connection to the channel of that name, whose client gets first what `encode` makes of where it
    /// begins: a reply that its budget has to pay for.
    ///
    /// # Errors
    ///
    /// [`NotSubscribed`] says why there is no place for it, or that the client does not want it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future subscribes to nothing.
    pub async fn subscribe_with(
        &self,
        id: ConnectionId,
        name: &ChannelName,
        mut options: SubscribeOptions,
        budget: &ReplyBudget,
        encode: EncodeOpening<'_>,
    ) -> Result<Subscribed, NotSubscribed> {
        self.prepare(name, &options).await?;
        let mut bytes = REPLY_OF_SUBSCRIBE;
        loop {
            // The permit first, because it waits for the client: nothing of a shard may be held meanwhile.
            let permit = budget.acquire(bytes).await;
            let credit = self.hub().inbox(id.shard()).credit(bytes).await;
            options.now = self.time_of_day();
            match self.hub().subscribe_with(id, name, &options, Some(Opening { encode, permit }), credit) {
                Ok(subscribed) => return Ok(subscribed),
                Err(SubscribeError::Full(full)) => return Err(NotSubscribed::Full(full)),
                Err(SubscribeError::Declined) => return Err(NotSubscribed::Declined),
                Err(SubscribeError::Credit { bytes: needed }) => bytes = needed,
            }
        }
    }

    /// Fetches what a subscription needs, if it is elsewhere.
    async fn prepare(&self, name: &ChannelName, options: &SubscribeOptions) -> Result<(), NotSubscribed> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Nats(nats) => Ok(Box::pin(nats.prepare(name, &options.channel, options.since)).await?),
        }
    }

    /// Sends frames to a connection as soon as they may wait for its client, before what is published after that.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future sends nothing.
    pub async fn reply(&self, id: ConnectionId, frames: Bytes, budget: &ReplyBudget) {
        let permit = budget.acquire(frames.len()).await;
        let credit = self.hub().inbox(id.shard()).credit(frames.len()).await;
        credit.push(Command::Reply { id, frames, permit });
    }

    /// Removes a connection that stays from a channel.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the connection subscribed.
    pub async fn unsubscribe(&self, id: ConnectionId, channel: &Arc<Channel>) {
        let credit = self.hub().inbox(id.shard()).credit(0).await;
        self.hub().unsubscribe(id, channel, credit);
    }

    /// Removes a connection that ends from a channel.
    pub fn leave(&self, id: ConnectionId, channel: &Arc<Channel>) {
        self.hub().leave(id, channel);
    }

    /// Publishes at once, and returns the publication's number in the channel.
    ///
    /// # Errors
    ///
    /// [`NoCredit`] when a shard has no room, or the order is decided elsewhere: use [`Engine::publish`].
    pub fn try_publish(&self, channel: &Arc<Channel>, payload: &Payload) -> Result<u64, NoCredit> {
        match self {
            Self::Nats(_) if !channel.name().is_private() => Err(NoCredit { shard: 0 }),
            Self::Memory(_) | Self::Nats(_) => self.hub().publish(channel, payload, &mut self.credits(payload)),
        }
    }

    /// Publishes as soon as every shard has room, and returns the publication's number in the channel.
    ///
    /// # Errors
    ///
    /// [`Refused`] if the cluster does not take it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the collected credits back; nothing is published, but perhaps in a cluster.
    pub async fn publish(&self, channel: &Arc<Channel>, payload: &Payload) -> Result<u64, Refused> {
        if let Self::Nats(nats) = self
            && !channel.name().is_private()
        {
            // Boxed, so that readers, which may wait here, stay small.
            let publish = Box::pin(nats.publish(channel.name(), self.time_of_day(), payload, None));
            return publish.await.map(|stored| stored.offset);
        }
        let mut credits = self.credits(payload);
        loop {
            // The set of shards may change while one is waited for, so every attempt looks at it anew.
            match self.hub().publish(channel, payload, &mut credits) {
                Ok(offset) => return Ok(offset),
                Err(NoCredit { shard }) => self.wait(&mut credits, shard).await,
            }
        }
    }

    /// Publishes to the channel of that name as soon as every shard has room; in a cluster at its turn, if it has one.
    /// Returns where the channel stands then; `None` when nobody is subscribed and the channel keeps nothing.
    ///
    /// # Errors
    ///
    /// [`NotPublished`] when the channel would be one too many, or the cluster does not take it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the collected credits back; nothing is published, but perhaps in a cluster.
    pub async fn publish_to(
        &self,
        name: &ChannelName,
        options: &Arc<ChannelOptions>,
        payload: &Payload,
        turn: Option<&Turn<'_>>,
    ) -> Result<Option<Published>, NotPublished> {
        if let Self::Nats(nats) = self {
            let published = Box::pin(nats.publish(name, self.time_of_day(), payload, turn)).await?;
            let is_kept = HistoryOptions::of(options).is_on();
            return Ok(Some(Published { epoch: published.epoch.filter(|_| is_kept), ..published }));
        }
        let mut credits = self.credits(payload);
        loop {
            match self.hub().publish_to(name, options, payload, &mut credits) {
                Ok(published) => return Ok(published),
                Err(PublishError::Full(full)) => return Err(full.into()),
                Err(PublishError::Credit(NoCredit { shard })) => self.wait(&mut credits, shard).await,
            }
        }
    }

    /// Reads what a channel keeps; `None` when it keeps nothing.
    ///
    /// # Errors
    ///
    /// [`NotRead`] says why it is not read.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn history(
        &self,
        name: &ChannelName,
        options: &Arc<ChannelOptions>,
        query: HistoryQuery,
    ) -> Result<Option<HistoryPage>, NotRead> {
        if let Self::Nats(nats) = self {
            let prepared = Box::pin(nats.prepare_history(name, options, query)).await;
            prepared.map_err(|NotFollowed| NotRead::NotFollowed)?;
        }
        let page = self.hub().history(name, query, self.time_of_day());
        page.map_err(|UnknownPosition| NotRead::UnknownPosition)
    }

    /// Returns who is in a channel; nobody where its namespace has no presence.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future costs nothing.
    pub async fn presence(&self, name: &ChannelName) -> Merged<PresentClients> {
        match self {
            Self::Memory(hub) => Merged::whole(PresentClients::of(hub, hub.presence(name))),
            Self::Nats(nats) => nats.presence(name).await,
        }
    }

    /// Returns how many are in a channel.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future costs nothing.
    pub async fn presence_stats(&self, name: &ChannelName) -> Merged<PresenceStats> {
        match self {
            Self::Memory(hub) => Merged::whole(hub.presence(name).stats()),
            Self::Nats(nats) => nats.presence_stats(name).await,
        }
    }

    /// Returns the channels with subscribers whose names match: `*` stands for any characters, `?` for one. `None` if
    /// there are more than `max`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future costs nothing.
    pub async fn channels(&self, pattern: &str, max: usize) -> Merged<Option<ChannelCounts>> {
        match self {
            Self::Memory(hub) => {
                let (counts, are_more) = list_channels(hub, pattern, max).await;
                Merged::whole((!are_more).then_some(counts))
            }
            Self::Nats(nats) => nats.channels(pattern, max).await,
        }
    }

    /// Lets all other hubs carry out a command of a backend, or only one of them. Without a cluster there are none.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open which hubs have carried it out.
    pub async fn command(&self, only: Option<HubId>, command: PeerCommand) -> Merged<Outcomes> {
        match self {
            Self::Memory(_) => Merged::default(),
            Self::Nats(nats) => nats.command(only, command).await,
        }
    }

    /// Returns the other hubs of the cluster; `None` without one.
    pub fn peers(&self) -> Option<PeersView> {
        match self {
            Self::Memory(_) => None,
            Self::Nats(nats) => Some(nats.peers_view()),
        }
    }

    /// Tells the other hubs of this one, and answers them, for ever; without a cluster there is nothing to do.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends it. [`Engine::say_last`] tells the others.
    pub async fn run_peers(&self, local: Arc<dyn LocalHub>) {
        if let Self::Nats(nats) = self {
            Arc::clone(nats).run_peers(local).await;
        }
    }

    /// Tells the other hubs that this one has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future tells them or not; they see it after some seconds in any case.
    pub async fn say_last(&self, local: &dyn LocalHub) {
        if let Self::Nats(nats) = self {
            nats.say_last(local).await;
        }
    }

    /// Drops what a channel keeps.
    ///
    /// # Errors
    ///
    /// [`Refused`] if the cluster does not take it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave it done.
    pub async fn remove_history(&self, name: &ChannelName) -> Result<(), Refused> {
        match self {
            Self::Memory(hub) => {
                hub.remove_history(name);
                Ok(())
            }
            Self::Nats(nats) => nats.remove_history(name).await,
        }
    }

    /// Drops from some channels what is too old, see [`Hub::sweep_histories`].
    pub fn sweep_histories(&self) {
        self.hub().sweep_histories(self.time_of_day());
    }

    /// Tells subscribers how many they are, and who has joined and left, where that has changed. Waits for shards that
    /// have no room.
    pub async fn announce(&self) {
        for mut announcement in self.hub().take_announcements() {
            if let Self::Nats(nats) = self {
                nats.add_elsewhere(&mut announcement);
            }
            let shard = announcement.shard;
            let (command, bytes) = announcement.command();
            self.hub().inbox(shard).credit(bytes).await.push(command);
        }
    }

    /// Keeps the hub a part of its cluster, for ever; without one there is nothing to do.
    ///
    /// # Errors
    ///
    /// [`Unusable`] if the streams are not what the configuration says.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends it.
    pub async fn run(&self) -> Result<Infallible, Unusable> {
        match self {
            Self::Memory(_) => std::future::pending().await,
            Self::Nats(nats) => nats.run().await,
        }
    }

    fn credits(&self, payload: &Payload) -> Credits<'_, S> {
        self.hub().credits(payload.len()).arrived(self.now())
    }

    async fn wait<'a>(&'a self, credits: &mut Credits<'a, S>, shard: usize) {
        let (process, start) = (&self.hub().metrics().process, Instant::now());
        Metrics::count(&process.credit_waits);
        let credit = credits.wait(shard).await;
        Metrics::add(&process.credit_wait_micros, micros(start.elapsed()));
        credits.keep(credit);
    }
}

impl From<NotFollowed> for NotSubscribed {
    fn from(NotFollowed: NotFollowed) -> Self {
        Self::NotFollowed
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl<S: Sink> Clone for Engine<S> {
    fn clone(&self) -> Self {
        match self {
            Self::Memory(hub) => Self::Memory(hub.clone()),
            Self::Nats(nats) => Self::Nats(Arc::clone(nats)),
        }
    }
}

impl<S: Sink> fmt::Debug for Engine<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(hub) => f.debug_tuple("Memory").field(hub).finish(),
            Self::Nats(nats) => f.debug_tuple("Nats").field(nats).finish(),
        }
    }
}
