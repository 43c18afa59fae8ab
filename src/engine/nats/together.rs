//! Together: what concerns all hubs, and the task that hears and answers the others.

use super::Nats;
use super::link::{Message, RequestError};
use super::peers::{BEAT, LocalHub, Outcomes, PeerCommand, PeersView, Route};
use crate::engine::merged::{ChannelCounts, Merged, PresentClients, UserCount, list_channels};
use crate::hub::occupancy::Announcement;
use crate::hub::{HubId, PresenceStats, Sink};
use crate::protocol::ChannelName;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// Time between two looks at the channels of other hubs: as for a person who is told, without haste.
const ROUND: Duration = Duration::from_secs(1);

/// Most asks of other hubs that are answered at the same time. Further ones are not answered, so that this hub is
/// missing in their result.
const ANSWERS_MAX: usize = 64;

impl<S: Sink> Nats<S> {
    /// Returns who is in a channel, on all hubs.
    pub(in crate::engine) async fn presence(&self, name: &ChannelName) -> Merged<PresentClients> {
        let own = PresentClients::of(self.hub(), self.hub().presence(name));
        let is_told = self.hub().directory().get(name).is_some_and(|channel| channel.tells().events);
        self.peers().presence(self.route(), name, own, is_told).await
    }

    /// Returns how many are in a channel, on all hubs.
    pub(in crate::engine) async fn presence_stats(&self, name: &ChannelName) -> Merged<PresenceStats> {
        let own = UserCount::of(&self.hub().presence(name));
        self.peers().presence_stats(self.route(), name, own).await
    }

    /// Returns the channels of all hubs that have subscribers and match; `None` if there are more than `max`.
    pub(in crate::engine) async fn channels(&self, pattern: &str, max: usize) -> Merged<Option<ChannelCounts>> {
        let (own, are_more) = list_channels(self.hub(), pattern, max).await;
        if are_more {
            return Merged::whole(None);
        }
        let merged = self.peers().channels(self.route(), pattern, max, own).await;
        merged.map(|counts| (counts.len() <= max).then_some(counts))
    }

    /// Lets all other hubs carry out a command, or only one of them.
    pub(in crate::engine) async fn command(&self, only: Option<HubId>, command: PeerCommand) -> Merged<Outcomes> {
        self.peers().command(self.route(), only, command).await
    }

    /// Returns who is there.
    pub(in crate::engine) fn peers_view(&self) -> PeersView {
        self.peers().view()
    }

    fn route(&self) -> Route<'_> {
        Route { link: self.requests(), subjects: self.subjects() }
    }

    /// Tells the other hubs of this one, and hears and answers them, until the connection is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends it, and the answers that are under way; the other hubs are told by
    /// [`Nats::say_last`].
    pub(in crate::engine) async fn run_peers(self: Arc<Self>, local: Arc<dyn LocalHub>) {
        tokio::select! {
            Err(error) = Arc::clone(&self).hear_and_answer(local) => {
                tracing::error!("this hub does not hear the other hubs any more: {error}");
            }
            () = self.look_elsewhere() => {}
        }
    }

    /// Tells subscribers who are told of others of those on other hubs too.
    async fn look_elsewhere(&self) {
        let mut ticks = interval(ROUND);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for (name, news) in self.peers().round(self.route(), self.hub()).await {
                if news.has_count {
                    self.hub().note_elsewhere(&name);
                }
                for announcement in self.hub().announcements_of(&name, &news.events) {
                    let shard = announcement.shard;
                    let (command, bytes) = announcement.command();
                    self.hub().inbox(shard).credit(bytes).await.push(command);
                }
            }
        }
    }

    /// Adds to what subscribers are told of each other those on other hubs.
    pub(in crate::engine) fn add_elsewhere(&self, announcement: &mut Announcement) {
        let name = announcement.channel().name();
        // Others belong to one connection.
        if !name.is_private() {
            let elsewhere = self.peers().tell_of(name);
            announcement.add_subscribers(elsewhere);
        }
    }

    async fn hear_and_answer(self: Arc<Self>, local: Arc<dyn LocalHub>) -> Result<(), RequestError> {
        let inbox = self.requests().new_inbox();
        let mut answers = self.requests().subscribe(format!("{inbox}.*")).await?;
        let mut beats = self.requests().subscribe(self.subjects().hub()).await?;
        let mut asks = self.requests().subscribe(self.subjects().ask()).await?;
        self.peers().open(inbox);
        let mut answering = JoinSet::new();
        let mut ticks = interval(BEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = answers.next() => self.peers().take_answer(&message.ok_or(RequestError::Closed)?),
                message = beats.next() => {
                    if self.peers().hear(message.ok_or(RequestError::Closed)?.payload()) {
                        // So that the new hub does not wait for the next one.
                        self.beat(&*local, false).await?;
                        self.advise(&*local);
                    }
                }
                message = asks.next() => {
                    let message = message.ok_or(RequestError::Closed)?;
                    if answering.len() < ANSWERS_MAX {
                        answering.spawn(Arc::clone(&self).answer(message, Arc::clone(&local)));
                    }
                }
                Some(_) = answering.join_next() => {}
                _ = ticks.tick() => {
                    self.peers().expire();
                    self.beat(&*local, false).await?;
                }
            }
        }
    }

    /// Tells the other hubs that this one has ended, so that they do not wait for its answers.
    pub(in crate::engine) async fn say_last(&self, local: &dyn LocalHub) {
        // Without a connection they see by themselves that it is gone.
        self.beat(local, true).await.ok();
        self.requests().flush().await;
    }

    /// Says how to even out the connections, if a hub that has come makes that worth while: balancers move nobody.
    fn advise(&self, local: &dyn LocalHub) {
        let connections = self.hub().placement().taken() as u64;
        let above = self.peers().view().balance(connections, local.stage()).above_mean;
        if above > 0 {
            tracing::info!(
                "this hub has {above} of its {connections} connections more than the mean of all hubs: \
                 POST /admin/shed?count={above} moves them to the others"
            );
        }
    }

    async fn beat(&self, local: &dyn LocalHub, is_last: bool) -> Result<(), RequestError> {
        let beat = self.peers().heartbeat(self.hub(), local, is_last);
        self.requests().publish(self.subjects().hub(), beat).await
    }

    async fn answer(self: Arc<Self>, message: Message, local: Arc<dyn LocalHub>) {
        let Some(reply) = message.reply() else { return };
        for part in self.peers().answer(self.hub(), &*local, message.payload()).await {
            if let Err(error) = self.requests().publish(reply.to_owned(), part).await {
                tracing::warn!("an answer to another hub was not sent: {error}");
                return;
            }
        }
    }
}
