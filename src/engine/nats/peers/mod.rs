//! Peers: the other hubs of the cluster, who is there, what they are asked, and what they tell.
//!
//! Everything here goes over core NATS and may be lost. So nothing is concluded from silence: a heartbeat is repeated,
//! an answer that does not come is named as missing, and a count that was lost is corrected by the next digest.
//!
//! # Policy
//!
//! Every number has a bound: hubs, asks under way, parts and bytes of an answer. What is beyond a bound is counted and
//! named in the answer, never dropped silently.

mod answering;
mod asks;
mod collector;
mod elsewhere;
mod merge;
mod message;
mod registry;
mod round;

pub use answering::{CarriedOut, LocalHub};
pub use merge::Outcomes;
pub use message::{Outcome, PeerCommand, PeerStage};
pub use registry::{Balance, LostPeer, Peer};

use super::link::{Link, Message};
use super::subject::Subjects;
use crate::engine::merged::{ChannelCounts, Merged, PresentClients, UserCount};
use crate::hub::{Hub, HubId, PresenceStats, Sink};
use crate::metrics::Metrics;
use crate::protocol::ChannelName;
use asks::Asks;
use bytes::Bytes;
use collector::Collected;
use elsewhere::Elsewhere;
use message::{Ask, ChannelsAsk, Heartbeat, Question};
use parking_lot::Mutex;
use registry::{GONE_AFTER, Heard, PEERS_MAX, Registry};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Time between two heartbeats of a hub.
pub(super) const BEAT: Duration = registry::BEAT;

/// The other hubs of the cluster.
#[derive(Debug)]
pub struct Peers {
    own: HubId,
    name: String,
    started: Instant,
    registry: Mutex<Registry>,
    asks: Asks,
    /// Who is elsewhere, for those who are told of them.
    elsewhere: Mutex<Elsewhere>,
    /// How long answers are waited for.
    wait: Duration,
    metrics: Arc<Metrics>,
}

/// How this hub reaches the others.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    /// The connection.
    pub link: &'a Link,
    /// The subjects of the service.
    pub subjects: &'a Subjects,
}

/// What is known of the other hubs at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct PeersView {
    /// The id of this hub.
    pub own: HubId,
    /// The name of this hub.
    pub name: String,
    /// The hubs that are there.
    pub peers: Vec<Peer>,
    /// The hubs that were lost in the last minutes.
    pub lost: Vec<LostPeer>,
    /// This moment, since the start of this hub.
    pub now: Duration,
}

impl PeersView {
    /// Compares this hub, with its connections and its stage, with the others.
    pub fn balance(&self, connections: u64, stage: PeerStage) -> Balance {
        Balance::of(connections, stage, self.peers.iter())
    }
}

impl Peers {
    /// Returns those of a hub, which knows nobody yet. Answers are waited for at most `wait`.
    pub fn new(own: HubId, name: String, wait: Duration, metrics: Arc<Metrics>) -> Self {
        Self {
            own,
            name,
            started: Instant::from_std(metrics.started()),
            registry: Mutex::new(Registry::new(own)),
            asks: Asks::new(own),
            elsewhere: Mutex::default(),
            wait,
            metrics,
        }
    }

    /// Returns who is there.
    pub fn view(&self) -> PeersView {
        let registry = self.registry.lock();
        let (peers, lost) = (registry.live().cloned().collect(), registry.lost().to_vec());
        PeersView { own: self.own, name: self.name.clone(), peers, lost, now: self.now() }
    }

    /// Adds who is in a channel on other hubs. With `is_told` somebody here is told who joins and leaves from now on.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future costs nothing.
    pub async fn presence(
        &self,
        route: Route<'_>,
        name: &ChannelName,
        own: PresentClients,
        is_told: bool,
    ) -> Merged<PresentClients> {
        let mut collected = self.ask(route, None, Question::Presence(name.as_str().to_owned())).await;
        if is_told {
            self.begin_elsewhere(name, &collected);
        }
        let value = merge::presence(own, &mut collected);
        self.named(value, &collected)
    }

    /// Adds how many are in a channel on other hubs.
    pub(in crate::engine) async fn presence_stats(
        &self,
        route: Route<'_>,
        name: &ChannelName,
        own: UserCount,
    ) -> Merged<PresenceStats> {
        let mut collected = self.ask(route, None, Question::PresenceStats(name.as_str().to_owned())).await;
        let value = merge::users(own, &mut collected).stats();
        self.named(value, &collected)
    }

    /// Adds the channels of other hubs, at most one more than `max` of each.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future costs nothing.
    pub async fn channels(
        &self,
        route: Route<'_>,
        pattern: &str,
        max: usize,
        own: ChannelCounts,
    ) -> Merged<ChannelCounts> {
        let limit = u32::try_from(max).unwrap_or(u32::MAX).saturating_add(1);
        let question = Question::Channels(ChannelsAsk { pattern: pattern.to_owned(), limit });
        let mut collected = self.ask(route, None, question).await;
        let value = merge::channels(own, &mut collected);
        self.named(value, &collected)
    }

    /// Lets all other hubs carry out a command, or only one of them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open which hubs have carried it out.
    pub async fn command(&self, route: Route<'_>, only: Option<HubId>, command: PeerCommand) -> Merged<Outcomes> {
        let mut collected = self.ask(route, only, Question::Command(command)).await;
        let value = merge::outcomes(&mut collected);
        self.named(value, &collected)
    }

    /// Asks without saying who has not answered, for what is asked again in any case.
    async fn gather(&self, route: Route<'_>, only: Option<HubId>, question: Question) -> Collected {
        self.asks.ask(route.link, route.subjects.ask(), &self.registry, only, question, self.wait).await
    }

    /// Asks, and says who has not answered.
    async fn ask(&self, route: Route<'_>, only: Option<HubId>, question: Question) -> Collected {
        let collected = self.gather(route, only, question).await;
        if !collected.missing.is_empty() {
            Metrics::add(&self.metrics.process.presence_replies_missing, collected.missing.len() as u64);
            let hubs = merge::named((), &collected, &self.registry.lock()).missing;
            let hubs: Vec<_> = hubs.into_iter().map(|hub| format!("{} {}", hub.name, hub.id)).collect();
            let wait = humantime::format_duration(self.wait);
            tracing::warn!(
                "an answer lacks hubs that have not answered within --presence-timeout {wait}: {}; it names them",
                hubs.join(", ")
            );
        }
        collected
    }

    fn named<T>(&self, value: T, collected: &Collected) -> Merged<T> {
        merge::named(value, collected, &self.registry.lock())
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Takes answers to asks from here on, below this subject.
    pub(super) fn open(&self, inbox: String) {
        self.asks.open(inbox);
    }

    /// Takes a part of an answer to an ask of this hub.
    pub(super) fn take_answer(&self, message: &Message) {
        self.asks.pass(message);
    }

    /// Notes a heartbeat of another hub. Returns whether it was the first one.
    pub(super) fn hear(&self, payload: &[u8]) -> bool {
        let Some(beat) = Heartbeat::read(payload) else { return false };
        let name = beat.name.clone();
        let heard = self.registry.lock().hear(beat, self.now());
        match heard {
            Heard::New(id) => tracing::info!("hub {name} {id} is there"),
            Heard::Ended(id) => tracing::info!("hub {name} {id} has ended"),
            Heard::TooMany => {
                tracing::error!("hub {name} is one of more than {PEERS_MAX}, so this hub does not ask it");
            }
            Heard::Again | Heard::Nothing => return false,
        }
        self.asks.note_change();
        matches!(heard, Heard::New(_))
    }

    /// Removes hubs that are not heard any more.
    pub(super) fn expire(&self) {
        let lost = self.registry.lock().expire(self.now());
        for LostPeer { id, name, .. } in &lost {
            let after = humantime::format_duration(GONE_AFTER);
            tracing::warn!(
                "hub {name} {id} was not heard for {after}: it has failed, or one of the two is cut off from NATS"
            );
        }
        if !lost.is_empty() {
            self.asks.note_change();
        }
    }

    /// Returns a heartbeat of this hub.
    pub(super) fn heartbeat<S: Sink>(&self, hub: &Hub<S>, local: &dyn LocalHub, is_last: bool) -> Bytes {
        let beat = Heartbeat {
            hub: self.own.get(),
            name: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            addresses: local.addresses(),
            connections: hub.placement().taken() as u64,
            connections_max: hub.placement().max() as u64,
            channels: hub.directory().len() as u64,
            stage: local.stage().into(),
            uptime: self.now().as_secs(),
            is_last,
        };
        message::write(&beat.shortened())
    }

    /// Returns the parts of the answer to an ask of another hub; none if it does not ask this one.
    pub(super) async fn answer<S: Sink>(&self, hub: &Hub<S>, local: &dyn LocalHub, ask: &[u8]) -> Vec<Bytes> {
        let own = self.own.get();
        let ask = message::read::<Ask>(ask).filter(|ask| ask.hub != own && (ask.to == 0 || ask.to == own));
        let Some(ask) = ask else { return Vec::new() };
        let parts = answering::answer(hub, self.own, local, ask).await;
        parts.iter().map(message::write).collect()
    }
}
