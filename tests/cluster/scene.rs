//! A scene: NATS servers, hubs, subscribers on every hub and publishers, and the verdict at its end.

use crate::administrator::{Administrator, PARTITIONS, PREFIX};
use crate::checker::{Acknowledged, Record, Seen, Verdict};
use crate::hubs::Hubs;
use crate::nats::Nats;
use crate::publisher::{Published, Publisher, publish};
use crate::server::balancer::{self, Balancer};
use crate::server::place::Place;
use crate::server::within;
use crate::subscriber::{Kind, Subscriber};
use rustix::process::Signal;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub(crate) struct Scene {
    pub(crate) nats: Nats,
    pub(crate) hubs: Hubs,
    /// What subscribers connect to, if not to the hubs themselves.
    balancer: Option<Balancer>,
    /// Those of the servers first.
    pub(crate) places: Vec<Place>,
    pub(crate) channels: Vec<String>,
    pub(crate) subscribers: Vec<Subscriber>,
    publishers: Vec<Publisher>,
    /// How many there were, so that each has a name of its own.
    publishers_started: usize,
    acknowledged: Vec<Acknowledged>,
    refused: usize,
    /// How often it was waited until everybody has everything.
    settled: usize,
    /// The longest time without an acknowledgement for one of the publishers.
    pub(crate) longest_pause: Duration,
}

impl Scene {
    /// Starts servers and hubs, with more settings of `[cluster]`, and subscribers of each channel.
    pub(crate) async fn start(servers: usize, hubs: usize, channels: usize, cluster: &str) -> Self {
        Self::start_at(&vec![Place::here(); servers], &vec![Place::here(); hubs], channels, cluster).await
    }

    /// Starts a server and a hub in each of these places.
    pub(crate) async fn start_at(servers: &[Place], hubs: &[Place], channels: usize, cluster: &str) -> Self {
        let mut scene = Self::without_subscribers(servers, hubs, cluster).await;
        scene.add_channels("", channels).await;
        scene
    }

    /// Starts servers, and three hubs behind HAProxy: subscribers connect to its one address.
    pub(crate) async fn start_behind_haproxy(servers: usize, channels: usize) -> Self {
        let mut scene = Self::without_subscribers(&vec![Place::here(); servers], &vec![Place::here(); 3], "").await;
        scene.balancer = Some(Balancer::start(balancer::Kind::ClusterHaProxy, scene.hubs.addrs()).await);
        scene.add_channels("", channels).await;
        scene
    }

    async fn without_subscribers(servers: &[Place], hubs: &[Place], cluster: &str) -> Self {
        let places = [servers, hubs].concat();
        let nats = Nats::start_at(servers).await;
        let cluster = format!("prefix = \"{PREFIX}\"\npartitions = {PARTITIONS}\n{cluster}");
        let hubs = Hubs::start(hubs, &nats, &cluster).await;
        Self {
            nats,
            hubs,
            balancer: None,
            places,
            channels: Vec::new(),
            subscribers: Vec::new(),
            publishers: Vec::new(),
            publishers_started: 0,
            acknowledged: Vec::new(),
            refused: 0,
            settled: 0,
            longest_pause: Duration::ZERO,
        }
    }

    /// Adds channels, of a namespace: each has an SDK client on each hub, and both kinds of chat clients somewhere.
    pub(crate) async fn add_channels(&mut self, namespace: &str, count: usize) {
        let hubs = self.hubs.hubs.len();
        for number in 0..count {
            let channel = format!("{namespace}c{number}");
            for hub in 0..hubs {
                self.subscribe(Kind::Sdk, hub, &channel).await;
            }
            self.subscribe(Kind::Numbered, number % hubs, &channel).await;
            self.subscribe(Kind::Plain, (number + 1) % hubs, &channel).await;
            self.channels.push(channel);
        }
    }

    /// Adds a subscriber that begins at a hub, and goes to the next one when its connection ends. A balancer decides
    /// that by itself.
    pub(crate) async fn subscribe(&mut self, kind: Kind, hub: usize, channel: &str) {
        let addrs = self.balancer.as_ref().map_or_else(|| self.from(hub), |balancer| vec![balancer.addr]);
        self.subscribers.push(Subscriber::start(kind, addrs, channel).await);
    }

    /// Adds an SDK client that was away since it stood at a position, and comes to a hub.
    pub(crate) async fn return_from(&mut self, position: (String, u64), hub: usize, channel: &str) {
        self.subscribers.push(Subscriber::return_from(position, self.from(hub), channel).await);
    }

    /// Adds this many subscribers, spread over the channels and hubs. A quarter each are chat clients with and without
    /// numbers.
    pub(crate) async fn add_subscribers(&mut self, count: usize) {
        let (channels, hubs) = (self.channels.clone(), self.hubs.hubs.len());
        for number in 0..count {
            let kind = [Kind::Sdk, Kind::Numbered, Kind::Sdk, Kind::Plain][number / channels.len() % 4];
            self.subscribe(kind, number % hubs, &channels[number % channels.len()]).await;
        }
    }

    /// Returns the hubs in turn, from one of them on.
    fn from(&self, hub: usize) -> Vec<SocketAddr> {
        let mut addrs = self.hubs.addrs();
        addrs.rotate_left(hub);
        addrs
    }

    /// Adds a publisher at each of these hubs, which publishes to all channels in turn.
    pub(crate) fn publish(&mut self, hubs: &[usize], rate: f64) {
        for hub in hubs {
            let name = format!("p{}", self.publishers_started);
            self.publishers_started += 1;
            let addrs = self.from(*hub);
            self.publishers.push(Publisher::start(&name, &addrs, &self.channels, rate));
        }
    }

    /// Publishes until the channel takes it.
    pub(crate) async fn publish_once(&mut self, hub: usize, channel: &str, body: &str) {
        let addrs = self.from(hub);
        let acknowledged = within(async {
            for attempt in 0.. {
                // Each attempt is another publication: one that was refused may have been stored nevertheless.
                let body = if attempt == 0 { body.to_owned() } else { format!("{body}+{attempt}") };
                if let Some(acknowledged) = publish(addrs[attempt % addrs.len()], channel, &body).await {
                    return acknowledged;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            unreachable!("it is tried for ever")
        })
        .await;
        self.acknowledged.push(acknowledged);
    }

    /// Ends the publishers.
    pub(crate) async fn quieten(&mut self) {
        for publisher in std::mem::take(&mut self.publishers) {
            let Published { acknowledged, refused, longest_pause } = publisher.stop().await;
            self.acknowledged.extend(acknowledged);
            self.refused += refused;
            self.longest_pause = self.longest_pause.max(longest_pause);
        }
    }

    /// Waits until every subscriber has everything: publishes one more to each channel, which comes last.
    pub(crate) async fn settle(&mut self) {
        self.quieten().await;
        for subscriber in &mut self.subscribers {
            subscriber.listens().await;
        }
        self.settled += 1;
        let end = format!("end {}", self.settled);
        for (index, channel) in self.channels.clone().iter().enumerate() {
            self.publish_once(index % self.hubs.hubs.len(), channel, &end).await;
        }
        let ends = self.acknowledged[self.acknowledged.len() - self.channels.len()..].to_vec();
        for Acknowledged { channel, body, .. } in &ends {
            for subscriber in self.subscribers.iter_mut().filter(|subscriber| subscriber.channel() == channel) {
                subscriber.has(body).await;
            }
        }
    }

    /// Waits until every subscriber has as many publications as the streams hold of its channel, and returns how long
    /// that took. Nothing may be published meanwhile, and nobody may have been told of a gap.
    pub(crate) async fn is_complete(&mut self, administrator: &Administrator) -> Duration {
        let stored = administrator.stored().await;
        let began = Instant::now();
        for subscriber in &mut self.subscribers {
            let wanted = stored.get(subscriber.channel()).copied().unwrap_or(0);
            let count = |seen: &[Seen]| seen.iter().filter(|one| one.is_publication()).count();
            subscriber.until(|seen| count(seen) >= wanted).await;
        }
        began.elapsed()
    }

    /// Waits until every subscriber has everything, ends all, and judges.
    pub(crate) async fn judge(self) -> Verdict {
        self.judge_with_warnings().await.0
    }

    /// Judges, and returns what the hubs have logged too, for people who read why a test has failed.
    async fn judge_with_warnings(mut self) -> (Verdict, String) {
        self.settle().await;
        let warnings: Vec<_> =
            self.hubs.hubs.iter().map(|hub| format!("{}:\n{}", hub.addr, hub.warnings().join("\n"))).collect();
        let subscribers = self.subscribers.into_iter().map(Subscriber::stop).collect();
        let verdict = Record { acknowledged: self.acknowledged, subscribers }.judge();
        // tests/faults makes its table of these lines.
        let (refused, pause) = (self.refused, self.longest_pause.as_secs_f64());
        println!("\nrefused {refused}, longest pause {pause:.2} s, {verdict}");
        (verdict, warnings.join("\n"))
    }

    /// Judges as [`Scene::judge`] does: nobody may have been told of a gap either.
    pub(crate) async fn judge_without_gaps(self) -> Verdict {
        let (verdict, warnings) = self.judge_with_warnings().await;
        assert!(verdict.is_clean() && verdict.gaps == 0, "{verdict}\n{warnings}");
        verdict
    }

    /// Restarts the hubs one by one, as a deploy does, with a pause before each.
    pub(crate) async fn restart_hubs(&mut self, pause: Duration) {
        for hub in &mut self.hubs.hubs {
            tokio::time::sleep(pause).await;
            hub.end(Signal::TERM).await;
            hub.start().await;
            hub.ready().await;
        }
    }

    pub(crate) async fn administrator(&self) -> Administrator {
        Administrator::connect(&self.nats).await
    }
}
