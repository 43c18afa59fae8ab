//! The engine of a cluster: streams of NATS JetStream give publications their places, for all hubs alike.
//!
//! Channels are spread over partitions, and each partition is a stream, its log. A hub publishes into the log and never
//! delivers itself: it follows the log, as every other hub does, and delivers what comes, in that order.

pub mod peers;
pub mod subject;

pub mod sequence;

pub mod check;
pub mod init;
pub mod stream;

pub mod credentials;
pub mod id;
pub mod link;
mod together;

pub mod envelope;
pub mod in_order;
pub mod publisher;
pub mod refused;

pub mod backfill;
pub mod evidence;
pub mod follow_error;
pub mod follower;
pub mod interest;
pub mod log;
pub mod logs;

pub use backfill::NotFollowed;

use crate::config::{ChannelOptions, ClusterConfig, Config, Namespaces, OnStale};
use crate::hub::{HistoryQuery, Hub, HubId, Published, Since, Sink};
use crate::protocol::{ChannelName, Payload};
use arc_swap::ArcSwap;
use check::{ExamineError, examine};
use in_order::Turn;
use link::{ANSWERS_MAX, Link, LinkError, host_name};
use logs::Logs;
use peers::Peers;
use publisher::Publisher;
use refused::Refused;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use subject::Subjects;
use thiserror::Error;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

/// Pause before NATS is asked again that did not answer.
const RETRY: Duration = Duration::from_secs(1);

/// Time without a beacon after which NATS counts as down; more if beacons are rare.
const ECHO_MIN: Duration = Duration::from_secs(3);

/// A hub's part in a cluster.
pub struct Nats<S: Sink> {
    hub: Hub<S>,
    id: HubId,
    config: ClusterConfig,
    message_bytes_max: usize,
    subjects: Subjects,
    /// For publications and requests.
    requests: Arc<Link>,
    /// For what is followed, so that a flood of it delays no answer.
    follow: Arc<Link>,
    logs: Arc<Logs<S>>,
    /// The other hubs.
    peers: Peers,
}

/// The streams are not what the configuration says: one line for each difference, with what to do.
#[derive(Clone, Debug, Error)]
#[error("{0}")]
pub struct Unusable(String);

/// How a hub stands with NATS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BrokerState {
    /// Whether the streams were found at all.
    pub is_verified: bool,
    /// Whether beacons come back.
    pub is_up: bool,
    /// For how long nothing has come of one of the partitions that are followed; zero if none is.
    pub silence: Duration,
    /// Partitions that are followed.
    pub followed: usize,
}

impl<S: Sink> Nats<S> {
    /// Makes the part of a hub, which connects as soon as it can.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if a file of the configuration cannot be used.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future makes nothing.
    pub async fn new(hub: Hub<S>, config: &Config, namespaces: Arc<ArcSwap<Namespaces>>) -> Result<Self, LinkError> {
        let message_bytes_max = config.sockets.message_bytes_max;
        let config = config.cluster.clone();
        let requests = Arc::new(Link::keep(&config, "requests", ANSWERS_MAX).await?);
        let follow = Arc::new(Link::keep(&config, "follow", config.follow_capacity).await?);
        let subjects = Subjects::new(&config.prefix);
        let id = HubId::random();
        // Before a client connects, which is told its id with it.
        hub.set_id(id);
        let name = config.hub_name.clone().unwrap_or_else(host_name);
        let peers = Peers::new(id, name, config.presence_timeout, Arc::clone(hub.metrics()));
        let links = (Arc::clone(&requests), Arc::clone(&follow));
        let logs = Arc::new(Logs::new(hub.clone(), &config, namespaces, links, Publisher::new(&id, &config)));
        Ok(Self { hub, id, config, message_bytes_max, subjects, requests, follow, logs, peers })
    }

    /// Finds the streams, as soon as NATS answers, and follows them for ever.
    ///
    /// # Errors
    ///
    /// [`Unusable`] if they are not what the configuration says.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends it.
    pub async fn run(&self) -> Result<Infallible, Unusable> {
        self.verify().await?;
        let mut followers = JoinSet::new();
        for partition in 0..self.config.partitions {
            followers.spawn(follower::run(Arc::clone(&self.logs), partition));
        }
        let mut ticks = interval(self.config.linger / 4);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.touch_used();
        }
    }

    /// Waits until NATS answers, and checks that its streams are what the configuration says.
    async fn verify(&self) -> Result<(), Unusable> {
        let mut last = String::new();
        loop {
            match examine(&self.requests, &self.config, self.message_bytes_max).await {
                Ok(found) if found.complaints().is_empty() => {
                    self.logs.set_verified(&found.epochs);
                    tracing::info!(partitions = self.config.partitions, hub = %self.id, "part of the cluster");
                    return Ok(());
                }
                Ok(found) => return Err(Unusable(found.complaints().join("\n"))),
                Err(ExamineError::Unusable(text)) => return Err(Unusable(text)),
                Err(error @ ExamineError::NoAnswer(_)) => {
                    let text = error.to_string();
                    if text != last {
                        tracing::warn!("{text}; the hub is not ready, and tries again");
                    }
                    last = text;
                    sleep(RETRY).await;
                }
            }
        }
    }

    /// Notes which partitions have a channel with subscribers here.
    fn touch_used(&self) {
        for channel in self.hub.directory().channels() {
            if channel.subscribers() > 0 && !channel.name().is_private() {
                self.logs.interest(self.logs.partition(channel.name())).touch();
            }
        }
    }

    /// Publishes into the log of a channel, at its turn if it has one, and returns where the publication stands.
    ///
    /// # Errors
    ///
    /// [`Refused`] if it is not known to be there.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave it published.
    pub async fn publish(
        &self,
        name: &ChannelName,
        at: u64,
        payload: &Payload,
        turn: Option<&Turn<'_>>,
    ) -> Result<Published, Refused> {
        let partition = self.logs.partition(name);
        let reached = self.logs.reached(partition);
        let offset = self.store(name, &envelope::publication(at, payload), turn).await?;
        Ok(Published { offset, epoch: self.logs.epoch_of_stored(partition, offset, reached) })
    }

    /// Lets every hub forget what a channel keeps.
    ///
    /// # Errors
    ///
    /// [`Refused`] if that is not known to happen.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave it done.
    pub async fn remove_history(&self, name: &ChannelName) -> Result<(), Refused> {
        self.store(name, &envelope::history_removed(), None).await.map(drop)
    }

    async fn store(&self, name: &ChannelName, entry: &bytes::Bytes, turn: Option<&Turn<'_>>) -> Result<u64, Refused> {
        let started = Instant::now();
        let stored = if self.logs.is_verified() {
            let subject = self.subjects.log(self.logs.partition(name).index(), name);
            self.logs.publisher.store(&self.requests, &subject, entry, turn).await
        } else {
            Err(Refused::NotReady)
        };
        let counters = &self.hub.metrics().cluster;
        match stored {
            Ok(_) => counters.count_publish_ack(started.elapsed()),
            Err(refused) => counters.count_refusal(refused.reason()),
        }
        stored
    }

    /// Returns whether the partition of a channel is followed, and lets it be followed.
    pub fn is_followed(&self, name: &ChannelName) -> bool {
        name.is_private() || self.logs.is_followed(name)
    }

    /// Waits until the partition of a channel is followed, or cannot be.
    ///
    /// # Errors
    ///
    /// [`NotFollowed`] if it cannot be now.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn follow_channel(&self, name: &ChannelName) -> Result<(), NotFollowed> {
        self.logs.follow(name).await
    }

    /// Follows the partition of a channel, and fetches what a subscription that begins there needs.
    ///
    /// # Errors
    ///
    /// [`NotFollowed`] if the partition cannot be followed now.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn prepare(
        &self,
        name: &ChannelName,
        options: &Arc<ChannelOptions>,
        since: Since,
    ) -> Result<(), NotFollowed> {
        if name.is_private() {
            return Ok(());
        }
        self.logs.prepare(name, options, || self.hub.coverage(name, options, since)).await
    }

    /// The same for a history that is read.
    ///
    /// # Errors
    ///
    /// As [`Nats::prepare`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn prepare_history(
        &self,
        name: &ChannelName,
        options: &Arc<ChannelOptions>,
        query: HistoryQuery,
    ) -> Result<(), NotFollowed> {
        self.logs.prepare(name, options, || self.hub.coverage_of(name, options, query)).await
    }

    /// Returns how the hub stands with NATS.
    pub fn broker(&self) -> BrokerState {
        let silences: Vec<_> = self.logs.interests.iter().filter_map(interest::Interest::silence).collect();
        let silence = silences.iter().copied().max().unwrap_or_default();
        let echo_time = (self.config.beacon_interval * 3).max(ECHO_MIN);
        let is_connected = self.requests.state().borrow().is_connected && self.follow.state().borrow().is_connected;
        BrokerState {
            is_verified: self.logs.is_verified(),
            is_up: self.logs.is_verified() && is_connected && silence < echo_time,
            silence,
            followed: silences.len(),
        }
    }

    /// Returns up to which number each partition that is followed was delivered here.
    pub fn offsets(&self) -> Vec<(usize, u64)> {
        let followed = self.logs.partitions.all().iter().filter(|one| self.logs.interest(one).is_ready());
        followed.map(|one| (one.index(), one.applied())).collect()
    }

    /// Returns whether the hub is cut off for so long that its clients should be somewhere else.
    pub fn sends_clients_away(&self) -> bool {
        self.config.on_stale == OnStale::Close && self.is_stale()
    }

    /// Returns whether the hub has been cut off for longer than `stale_after`.
    pub fn is_stale(&self) -> bool {
        self.broker().silence > self.config.stale_after
    }

    /// Returns the hub that delivers.
    pub fn hub(&self) -> &Hub<S> {
        &self.hub
    }

    /// Returns who this hub is.
    pub fn id(&self) -> HubId {
        self.id
    }

    /// Returns the other hubs.
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// Returns the settings.
    pub fn config(&self) -> &ClusterConfig {
        &self.config
    }

    /// Returns the subjects of the service.
    pub fn subjects(&self) -> &Subjects {
        &self.subjects
    }

    /// Returns the connection for publications and requests.
    pub fn requests(&self) -> &Link {
        &self.requests
    }

    /// Returns the connection for what is followed.
    pub fn follow(&self) -> &Link {
        &self.follow
    }
}

impl<S: Sink> fmt::Debug for Nats<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats").field("id", &self.id).field("requests", &self.requests).finish_non_exhaustive()
    }
}
