//! A hub of a cluster against a reference model: whatever its log brings, and loses, in whatever order clients come,
//! each gets exactly what the log has of its channel after its position, in order, or is told that something is lost.
//!
//! A seed decides everything, and a failure prints it. `THRONG_SEED=7` runs that seed, `THRONG_SEEDS=100000` as many.

use crate::simulation::followed::line;
use crate::simulation::seeds;
use crate::simulation::{Peer, SimulatedHub};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::Arc;
use std::time::Duration;
use throng::config::{HubLimits, SlowConsumer};
use throng::hub::{Backfill, Coverage, Logged, MessageShape, Partitions, Since};
use throng::protocol::{Encoding, Epoch, Position};

const SEEDS: u64 = 400;

const CHANNELS: [&str; 3] = ["a", "b", "c"];

const HOUR: Duration = Duration::from_secs(3600);

/// A line of the log.
#[derive(Clone, Copy)]
struct Entry {
    channel: &'static str,
    offset: u64,
    at: u64,
    /// The log has not got it any more, and nobody had it here.
    is_lost: bool,
    /// The history of the channel is removed, up to here.
    is_removal: bool,
}

/// What a subscriber should have got.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Due {
    Line(u64),
    Lost,
}

struct Subscriber {
    peer: Peer,
    channel: &'static str,
    due: Vec<Due>,
}

struct World {
    hub: SimulatedHub,
    partitions: Arc<Partitions>,
    random: StdRng,
    epoch: u64,
    /// Number of the newest entry of the log that came here.
    last: u64,
    log: Vec<Entry>,
    size: usize,
    subscribers: Vec<Subscriber>,
    recovered: usize,
    backfilled: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let limits = HubLimits { slow_consumer: SlowConsumer::Skip, ping_interval: 10 * HOUR, ..HubLimits::default() };
        let hub = SimulatedHub::new(random.random_range(1..=2), &limits);
        let size = [3, 1000][random.random_range(0..2)];
        hub.keep(size, HOUR);
        let partitions = hub.follow(1, 0);
        let (log, subscribers) = (Vec::new(), Vec::new());
        Self { hub, partitions, random, epoch: 1, last: 0, log, size, subscribers, recovered: 0, backfilled: 0 }
    }

    fn channel(&mut self) -> &'static str {
        CHANNELS[self.random.random_range(0..CHANNELS.len())]
    }

    /// The log gets an entry, which does not have to come here.
    fn store(&mut self, channel: &'static str, is_lost: bool, is_removal: bool) -> u64 {
        // Beacons are in between.
        self.last += self.random.random_range(1..3);
        self.log.push(Entry { channel, offset: self.last, at: self.hub.time_of_day(), is_lost, is_removal });
        self.last
    }

    fn tell(&mut self, due: Due, is_told: impl Fn(&str) -> bool) {
        let told = self.subscribers.iter_mut().filter(|one| !one.peer.has_left() && is_told(one.channel));
        told.for_each(|one| one.due.push(due));
    }

    fn deliver(&mut self) {
        let channel = self.channel();
        for _ in 0..self.random.random_range(1..6) {
            let offset = self.store(channel, false, false);
            self.hub.deliver(channel, offset, "x");
            self.tell(Due::Line(offset), |one| one == channel);
        }
    }

    fn remove_history(&mut self) {
        let channel = self.channel();
        let offset = self.store(channel, false, true);
        self.hub.remove_history_at(channel, offset);
    }

    /// Some entries of a channel are gone before they came here.
    fn declare_gap(&mut self) {
        let channel = self.channel();
        for _ in 0..self.random.random_range(1..4) {
            self.store(channel, true, false);
        }
        self.hub.declare_gap(channel, self.last);
        self.tell(Due::Lost, |one| one == channel);
    }

    /// The log was not followed for a while. It still has what came meanwhile.
    fn lose(&mut self) {
        for _ in 0..self.random.random_range(0..6) {
            let channel = self.channel();
            self.store(channel, false, false);
        }
        let partition = &self.partitions.all()[0];
        let channels = self.hub.hub().lose(partition, self.last);
        self.hub.tell_gap(channels);
        partition.set_applied(self.last);
        self.tell(Due::Lost, |_| true);
    }

    fn renew_epoch(&mut self) {
        (self.epoch, self.last, self.log) = (self.epoch + 1, 0, Vec::new());
        let channels = self.hub.hub().renew_epoch(&self.partitions.all()[0], Epoch::new(self.epoch), 0);
        self.hub.tell_gap(channels);
        self.tell(Due::Lost, |_| true);
    }

    /// Returns after which number everything of a channel is to be had, here or in the log.
    fn floor(&self, channel: &str) -> u64 {
        let is_too_old =
            |entry: &Entry| self.hub.time_of_day() - entry.at >= u64::try_from(HOUR.as_micros()).unwrap_or(0);
        let gone = self.log.iter().filter(|entry| entry.is_lost || entry.is_removal || is_too_old(entry));
        gone.filter(|entry| entry.channel == channel).map(|entry| entry.offset).max().unwrap_or(0)
    }

    /// Returns what the log has of a channel after a number.
    fn lines(&self, channel: &str, after: u64) -> Vec<Entry> {
        let is_it = |entry: &&Entry| entry.channel == channel && entry.offset > after && !entry.is_removal;
        self.log.iter().filter(is_it).copied().collect()
    }

    /// What is asked of the log before a client subscribes. Returns whether everything that there is was fetched.
    fn fetch(&mut self, channel: &'static str, since: Since) -> bool {
        let Coverage::Backfill { until, .. } = self.hub.coverage(channel, since) else { return false };
        let floor = self.floor(channel);
        if self.random.random_ratio(1, 4) {
            return false;
        }
        let publications = self
            .lines(channel, floor)
            .into_iter()
            .map(|entry| Logged { publication: line(entry.offset, entry.at, "x"), stored_at: entry.at });
        let backfill =
            Backfill { epoch: Epoch::new(self.epoch), floor, until: self.last, publications: publications.collect() };
        if until > 0 && self.random.random_ratio(1, 4) {
            // Of a replica that is behind.
            let publications =
                backfill.publications.iter().filter(|one| one.publication.offset < until).cloned().collect();
            let behind = Backfill { until: until - 1, publications, ..backfill };
            assert!(!self.hub.backfill(channel, &behind), "it does not lead up to {until}");
            return false;
        }
        assert!(self.hub.backfill(channel, &backfill));
        self.backfilled += 1;
        true
    }

    fn subscribe(&mut self) {
        let channel = self.channel();
        let peer = self.hub.connect_as(MessageShape { encoding: Encoding::NumberedLines, ..MessageShape::default() });
        let since = match self.random.random_range(0..4) {
            0 => Since::Now,
            _ => {
                let is_stale = self.random.random_ratio(1, 10);
                let epoch = Epoch::new(if is_stale { self.epoch + 1000 } else { self.epoch });
                let offset = self.random.random_range(0..=self.last + 1);
                Since::After { position: Position { epoch, offset }, or_newest: 0 }
            }
        };
        let is_fetched = self.fetch(channel, since);
        let start = peer.subscribe_since(channel, since);
        let expected = Position { epoch: Epoch::new(self.epoch), offset: self.last };
        let partition = &self.partitions.all()[0];
        assert_eq!(start.position, Some(expected), "where the log is: {partition:?}");
        let mut due = Vec::new();
        if let Since::After { position, .. } = since {
            let missed = self.lines(channel, position.offset);
            let is_known = position.epoch == expected.epoch && position.offset <= self.last;
            let can_be_had = is_known && position.offset >= self.floor(channel) && missed.len() <= self.size;
            if start.is_recovered == Some(true) {
                assert!(can_be_had, "{channel}: after {position} something is lost");
                due.extend(missed.iter().map(|entry| Due::Line(entry.offset)));
                self.recovered += 1;
            } else {
                let must_be = can_be_had && (is_fetched || position.offset == self.last);
                assert!(!must_be, "{channel}: after {position} nothing is lost");
            }
            assert_eq!(start.publications, due.len());
        }
        self.subscribers.push(Subscriber { peer, channel, due });
    }

    fn leave(&mut self) {
        if !self.subscribers.is_empty() {
            let at = self.random.random_range(0..self.subscribers.len());
            self.hub.run_until_idle();
            self.check(&self.subscribers[at]);
            self.subscribers.swap_remove(at).peer.leave();
        }
    }

    fn check(&self, subscriber: &Subscriber) {
        let lines = subscriber.peer.lines().into_iter().filter(|line| !line.starts_with(" [throng] position"));
        let got: Vec<_> = lines
            .map(|line| match line.strip_prefix(" [throng] ") {
                Some(notice) => {
                    assert!(notice.starts_with("messages lost"), "{notice}");
                    Due::Lost
                }
                None => Due::Line(line.split(' ').next().and_then(|offset| offset.parse().ok()).expect("a number")),
            })
            .collect();
        assert_eq!(got, subscriber.due, "{}", subscriber.channel);
    }

    fn run(&mut self) {
        for _ in 0..self.random.random_range(10..120) {
            match self.random.random_range(0..100) {
                0..40 => self.deliver(),
                40..60 => self.subscribe(),
                60..68 => self.leave(),
                68..80 => _ = self.hub.pass(0),
                80..84 => self.declare_gap(),
                84..88 => self.remove_history(),
                88..91 => self.lose(),
                91..93 => self.renew_epoch(),
                93..96 => {
                    self.last += 1;
                    self.partitions.all()[0].set_applied(self.last);
                }
                96 => self.hub.pause(HOUR / 2),
                _ => self.hub.sweep(),
            }
        }
        self.hub.run_until_idle();
        self.subscribers.iter().for_each(|subscriber| self.check(subscriber));
        self.hub.end();
    }
}

/// Invariant: what a client of a cluster gets is what the log has, or it is told otherwise.
#[test]
fn every_subscriber_gets_what_the_log_has_or_is_told_otherwise() {
    let (mut recovered, mut backfilled) = (0, 0);
    for seed in seeds(SEEDS) {
        let mut world = World::new(seed.0);
        world.run();
        (recovered, backfilled) = (recovered + world.recovered, backfilled + world.backfilled);
    }
    let has_happened = recovered > 100 && backfilled > 100;
    assert!(has_happened || std::env::var("THRONG_SEED").is_ok(), "{recovered} recovered, {backfilled} backfilled");
}
