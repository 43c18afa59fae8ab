//! The hub against a reference model: whatever happens in whatever order, a subscriber sees the channel's one order,
//! without a gap that it was not told about; one that returns gets exactly what it missed or is told that it does not;
//! and who is there is known exactly.
//!
//! A seed decides everything, and a failure prints it. `THRONG_SEED=7` runs that seed, `THRONG_SEEDS=100000` as many.

mod checks;
mod lagging;

use crate::simulation::{Life, Line, Members, Peer, SimulatedHub, View, seeds};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::HashMap;
use std::time::Duration;
use throng::config::{HubLimits, RecoveryMode, SlowConsumer, TuningConfig};
use throng::engine::replies::{REPLY_BYTES_MAX, ReplyBudget};
use throng::hub::{Command, HistoryOptions, MessageShape, OnLag, Published, Since};
use throng::protocol::centrifuge::Format;
use throng::protocol::{CloseReason, Encoding, Epoch, Position};

/// Enough for every kind of event to meet every other, and a few seconds of a debug build.
const SEEDS: u64 = 300;

/// The longest that publications may wait for company.
const COALESCE_DELAY_MAX: u64 = 100;

const CHANNELS: [&str; 3] = ["a", "b", "c"];

/// What replies begin with.
const REPLY: &str = " [reply] ";

/// How somebody may get a channel.
const ENCODINGS: [Encoding; 7] = {
    use Encoding::{Centrifuge, CentrifugeDeltas, Frames, Lines, NumberedLines};
    let [json, protobuf] = [Format::Json, Format::Protobuf];
    let (whole, deltas) =
        ([Centrifuge(json), Centrifuge(protobuf)], [CentrifugeDeltas(json), CentrifugeDeltas(protobuf)]);
    [Lines, NumberedLines, Frames, whole[0], whole[1], deltas[0], deltas[1]]
};

/// More than the bytes of a push besides its text.
const PUSH_BYTES: usize = 64;

/// Most publications of a recovery.
const RECOVERED_MAX: usize = 300;

/// What a subscriber should get of one channel: the lines from here on, up to here once it has left.
#[derive(Clone, Copy)]
struct Due {
    channel: &'static str,
    from: usize,
    to: Option<usize>,
}

#[expect(clippy::struct_excessive_bools, reason = "what happened to it, one by one")]
struct Subscriber {
    peer: Peer,
    due: Vec<Due>,
    /// Its socket was full at times, so that it may lag.
    was_slow: bool,
    is_mute: bool,
    asked_to_close: bool,
    /// It left a channel and stayed: what was on its way then is dropped.
    has_unsubscribed: bool,
    encoding: Encoding,
    /// Pays for the replies that it gets.
    budget: ReplyBudget,
    /// Number of replies that it was sent.
    replies: usize,
    /// When it connected, as time since the hub's start.
    since: Duration,
    /// What it knows of who is there, if it is told.
    view: Option<View>,
    /// What becomes of its subscriptions if they lag.
    on_lag: OnLag,
    /// The lines at which it went on, after it could not get what it missed before them.
    lost: Vec<(&'static str, usize)>,
}

/// The reference model: every channel is a list, every subscriber a range of it.
struct World {
    hub: SimulatedHub,
    limits: HubLimits,
    random: StdRng,
    published: HashMap<&'static str, Vec<Line>>,
    lives: HashMap<&'static str, Life>,
    history: HistoryOptions,
    /// Only the newest publication of a channel matters to those who return.
    is_cache: bool,
    subscribers: Vec<Subscriber>,
    members: Members,
    /// Somebody asks after every step who is there. Otherwise hardly anybody does, so that joins and leaves cancel.
    is_asking: bool,
    is_closing_all: bool,
}

fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let policy = if random.random() { SlowConsumer::Close } else { SlowConsumer::Skip };
        let limits = HubLimits {
            slow_consumer: policy,
            outbox_bytes_max: [64, 4096, 80_000, 1 << 20][random.random_range(0..4)],
            outbox_stall_max: milliseconds(3000),
            ping_interval: milliseconds(8000),
            pong_timeout: milliseconds(2000),
            close_timeout: milliseconds(1000),
            history_bytes_max: [usize::MAX, 100_000, 3000][random.random_range(0..3)],
            ..HubLimits::default()
        };
        let tuning = TuningConfig {
            coalesce_delay: milliseconds([0, 0, 10, COALESCE_DELAY_MAX][random.random_range(0..4)]),
            pass_commands_max: [1, 7, 256, 8192][random.random_range(0..4)],
            ..TuningConfig::default()
        };
        let hub = SimulatedHub::tuned(random.random_range(1..=3), &limits, &tuning);
        let history = HistoryOptions {
            size: [0, 0, 5, 1000][random.random_range(0..4)],
            ttl: milliseconds([1000, 86_400_000][random.random_range(0..2)]),
        };
        hub.keep(history.size, history.ttl);
        let is_cache = random.random_ratio(1, 4);
        if is_cache {
            hub.reload(|options| options.recovery_mode = RecoveryMode::Cache);
        }
        let published = CHANNELS.into_iter().map(|channel| (channel, Vec::new())).collect();
        let lives = CHANNELS.into_iter().map(|channel| (channel, Life::new(0, None))).collect();
        let mut members = Members::default();
        let (is_on, tells) = [(false, false), (true, false), (true, true), (true, true)][random.random_range(0..4)];
        members.reload(&hub, is_on, tells);
        let is_asking = random.random();
        let subscribers = vec![];
        Self {
            hub,
            limits,
            random,
            published,
            lives,
            history,
            is_cache,
            subscribers,
            members,
            is_asking,
            is_closing_all: false,
        }
    }

    fn run(&mut self) {
        for _ in 0..self.random.random_range(20..200) {
            match self.random.random_range(0..100) {
                0..10 => self.connect(),
                10..55 => self.publish(),
                55..75 => self.pass(),
                75..88 => self.disturb(),
                88 => self.reload(),
                89..91 => _ = self.hub.announce(),
                91..94 => self.leave(),
                94 => match self.random.random_range(0..4) {
                    0 | 1 => self.unsubscribe(),
                    2 => self.subscribe_again(),
                    _ => self.reply(),
                },
                95 => {
                    self.hub.sweep();
                    self.members.check(&self.hub);
                }
                96..98 => {
                    let time = milliseconds(self.random.random_range(1..1500));
                    self.hub.advance(time);
                    self.check_memory(time);
                }
                98 => {
                    self.hub.pause(Duration::from_secs(3600));
                    self.hub.run_until_idle();
                }
                _ => self.hub.run_until_idle(),
            }
            self.subscribe_lagging();
            self.check_step();
        }
        if self.random.random() {
            self.hub.close_all(CloseReason::Shutdown);
            self.is_closing_all = true;
        }
        self.subscribers.iter().for_each(|subscriber| subscriber.peer.resume());
        while self.hub.announce() > 0 {
            self.hub.run_until_idle();
        }
        self.hub.advance(milliseconds(COALESCE_DELAY_MAX));
        self.subscribers.iter().for_each(|subscriber| self.check(subscriber));
        self.check_counts();
        self.members.check(&self.hub);
        self.hub.end();
        for Subscriber { budget, .. } in &self.subscribers {
            assert_eq!(budget.available(), REPLY_BYTES_MAX, "what paid for replies is back");
        }
    }

    /// What holds after every step.
    fn check_step(&self) {
        self.members.check_count(&self.hub);
        if self.is_asking {
            self.members.check(&self.hub);
        }
        assert!(self.hub.hub().history_bytes() <= self.limits.history_bytes_max, "the budget of histories");
    }

    /// Presence, and joins and leaves, are switched on or off. What was told before is no longer complete.
    fn reload(&mut self) {
        if self.random.random_ratio(1, 3) {
            let (is_on, tells) = [(false, false), (true, false), (true, true)][self.random.random_range(0..3)];
            self.members.reload(&self.hub, is_on, tells);
            self.subscribers.iter_mut().for_each(|subscriber| subscriber.view = None);
        }
    }

    fn connect(&mut self) {
        let encoding = ENCODINGS[self.random.random_range(0..ENCODINGS.len())];
        let is_split = self.random.random_ratio(1, 5);
        let mut peer = self.hub.connect_as(MessageShape { encoding, is_split, has_signs_of_life: false });
        if self.random.random() {
            peer = peer.user(["a", "b"][self.random.random_range(0..2)]);
        }
        let on_lag = match self.random.random_range(0..4) {
            0 | 1 if !encoding.may_skip() => OnLag::Resubscribe,
            2 if !encoding.may_skip() => OnLag::Reconnect,
            _ => OnLag::Policy,
        };
        peer = peer.on_lag(on_lag);
        let is_mute = self.random.random_ratio(1, 10);
        if is_mute {
            peer = peer.mute();
        }
        // As a connection whose bytes are encrypted does.
        peer.pipe().keep([0, 0, 1, 16_384][self.random.random_range(0..4)]);
        let (count, first) = (self.random.random_range(1..=2), self.random.random_range(0..3));
        let channels = CHANNELS.into_iter().cycle().skip(first).take(count);
        let due: Vec<_> = channels.map(|channel| self.subscribe(&peer, channel)).collect();
        // An event does not say which channel it is of.
        let is_watching = encoding.tells_presence() && count == 1;
        let has_asked = self.random.random();
        let view = if is_watching { self.members.watch(&self.hub, due[0].channel, has_asked) } else { None };
        self.subscribers.push(Subscriber {
            peer,
            due,
            was_slow: false,
            is_mute,
            asked_to_close: false,
            has_unsubscribed: false,
            encoding,
            budget: ReplyBudget::default(),
            replies: 0,
            since: self.hub.now(),
            view,
            on_lag,
            lost: vec![],
        });
    }

    /// Chooses one of the subscribers, if there are any.
    fn choose(&mut self) -> Option<usize> {
        (!self.subscribers.is_empty()).then(|| self.random.random_range(0..self.subscribers.len()))
    }

    /// A connection that is there subscribes to one more channel.
    fn subscribe_again(&mut self) {
        let Some(chosen) = self.choose() else { return };
        let Subscriber { peer, due, .. } = &self.subscribers[chosen];
        let new = CHANNELS.into_iter().find(|channel| due.iter().all(|due| due.channel != *channel));
        if let Some(channel) = new.filter(|_| !peer.has_left()) {
            let peer = peer.clone();
            let due = self.subscribe(&peer, channel);
            let subscriber = &mut self.subscribers[chosen];
            subscriber.due.push(due);
            // An event does not say which channel it is of.
            subscriber.view = None;
        }
    }

    /// A connection asks for a few things, of which it gets as many as may wait for it.
    fn reply(&mut self) {
        let Some(chosen) = self.choose() else { return };
        let Subscriber { peer, budget, replies, .. } = &mut self.subscribers[chosen];
        let size = [0, 10, 20_000][self.random.random_range(0..3)];
        for _ in 0..self.random.random_range(1..20) {
            let text = format!("{REPLY}{replies} {}", "x".repeat(size));
            *replies += usize::from(!peer.has_left() && self.hub.try_reply(peer, budget, &text));
        }
    }

    /// Subscribes from any point and checks what the peer is told about what it gets.
    fn subscribe(&mut self, peer: &Peer, channel: &'static str) -> Due {
        let since = self.since(channel);
        self.subscribe_since(peer, channel, since)
    }

    fn subscribe_since(&mut self, peer: &Peer, channel: &'static str, since: Since) -> Due {
        let start = peer.subscribe_since(channel, since);
        self.members.join(channel, peer);
        let epoch = start.position.map(|position| position.epoch);
        assert_eq!(epoch.is_some(), self.history.is_on());
        let end = self.published[channel].len();
        if start.position.is_some_and(|position| position.offset == 0) {
            self.lives.insert(channel, Life::new(end, epoch));
        }
        let life = self.lives[channel];
        if let Some(position) = start.position {
            assert_eq!((life.epoch, position.offset), (epoch, (end - life.first) as u64), "where the channel stands");
        }
        match since {
            Since::Now => assert_eq!((start.publications, start.is_recovered), (0, None)),
            Since::Newest(wanted) => assert!(start.publications <= wanted && start.is_recovered.is_none()),
            Since::Offset(_) => unreachable!("its own test"),
            Since::After { position, or_newest } => {
                let position = if self.is_cache { self.lives[channel].in_cache(position, end) } else { position };
                let mut is_recoverable = Some(position.epoch) == epoch && self.keeps_since(channel, position);
                if is_recoverable && start.is_recovered == Some(false) {
                    assert!(self.hub.hub().metrics().process.read().history_evicted > 0, "nothing had to give way");
                    self.lives.get_mut(channel).into_iter().for_each(|life| life.note_eviction(position));
                    is_recoverable = false;
                }
                assert_eq!(start.is_recovered, Some(is_recoverable), "{position}");
                assert!(!is_recoverable || !self.lives[channel].is_evicted(position), "it was evicted");
                let missed =
                    end - life.first - usize::try_from(position.offset).unwrap_or(usize::MAX).min(end - life.first);
                assert!(if is_recoverable { start.publications == missed } else { start.publications <= or_newest });
            }
        }
        Due { channel, from: end - start.publications, to: None }
    }

    /// Somewhere to begin: now, some lines ago, or where another subscriber was, or never could have been.
    fn since(&mut self, channel: &'static str) -> Since {
        let known = self.lives[channel];
        let lines = (self.published[channel].len() - known.first) as u64;
        match (self.random.random_range(0..4), known.epoch) {
            (0, _) | (_, None) => Since::Now,
            (1, _) => Since::Newest(self.random.random_range(0..400)),
            (_, Some(epoch)) => {
                let is_stale = self.random.random_ratio(1, 10);
                let epoch = if is_stale { Epoch::new(0) } else { epoch };
                let offset = self.random.random_range(0..=lines + 1);
                Since::After { position: Position { epoch, offset }, or_newest: self.random.random_range(0..3) }
            }
        }
    }

    /// Whether the history has everything after a position, by the rules alone.
    fn keeps_since(&self, channel: &str, position: Position) -> bool {
        let history = HistoryOptions { size: self.history.size.min(RECOVERED_MAX), ..self.history };
        let bytes_max = self.limits.outbox_bytes_max;
        self.lives[channel].keeps_since(&self.published[channel], position, history, bytes_max, self.hub.now())
    }

    fn unsubscribe(&mut self) {
        let is_here = |subscriber: &&mut Subscriber| subscriber.due.iter().filter(|due| due.to.is_none()).count() > 1;
        if let Some(subscriber) = self.subscribers.iter_mut().find(is_here) {
            let due = subscriber.due.iter_mut().find(|due| due.to.is_none()).expect("there are two");
            subscriber.peer.unsubscribe(due.channel);
            self.members.leave(due.channel, &subscriber.peer);
            due.to = Some(self.published[due.channel].len());
            subscriber.has_unsubscribed = true;
        }
    }

    fn publish(&mut self) {
        let channel = CHANNELS[self.random.random_range(0..3)];
        let size = match self.random.random_range(0..20) {
            0 => self.random.random_range(0..70_000),
            1..4 => self.random.random_range(0..6000),
            _ => self.random.random_range(0..80),
        };
        for _ in 0..if size < 80 { self.random.random_range(1..30) } else { 1 } {
            let number = self.published[channel].len();
            let text = format!("{channel}:{number}:{}", "x".repeat(size));
            // Nobody is there, and nothing is kept.
            let Some(Published { offset, epoch }) = self.hub.publish_to(channel, &text) else { return };
            if offset == 1 {
                self.lives.insert(channel, Life::new(number, epoch));
            }
            let life = self.lives[channel];
            assert_eq!((offset, epoch), ((number - life.first + 1) as u64, life.epoch), "offsets have no gap");
            self.published.entry(channel).or_default().push(Line { text, offset, at: self.hub.now() });
        }
    }

    /// One pass of one shard, between whose steps sockets fill and drain.
    fn pass(&mut self) {
        let shard = self.random.random_range(0..self.hub.hub().shards());
        let hub = self.hub.clone();
        hub.pass_with(shard, || {
            if self.random.random_ratio(1, 4) {
                self.disturb();
            }
        });
    }

    /// Something happens to one connection.
    fn disturb(&mut self) {
        let Some(chosen) = self.choose() else { return };
        let amount = [0, 1, 3, 100, 5000, 100_000][self.random.random_range(0..6)];
        let subscriber = &mut self.subscribers[chosen];
        let (peer, id) = (&subscriber.peer, subscriber.peer.id());
        match self.random.random_range(0..40) {
            0..12 => peer.pipe().limit(amount),
            12..26 => peer.pipe().drain(amount),
            26..30 => peer.resume(),
            30..33 => peer.pipe().bite(1 + amount),
            33..36 => peer.pipe().wake_in_vain(),
            36 => peer.pipe().vanish(),
            37 | 38 => {
                let inbox = self.hub.hub().inbox(id.shard());
                if let Some(credit) = inbox.try_credit(0) {
                    credit.push(Command::Ping { id, body: "ping".into() });
                }
            }
            _ => {
                let inbox = self.hub.hub().inbox(id.shard());
                if let Some(credit) = inbox.try_credit(0) {
                    credit.push(Command::Close { id, reason: CloseReason::TooManyRequests });
                    subscriber.asked_to_close = true;
                }
            }
        }
        subscriber.was_slow = true;
    }

    fn leave(&mut self) {
        let Some(chosen) = self.choose() else { return };
        let subscriber = &mut self.subscribers[chosen];
        subscriber.peer.leave();
        for due in &mut subscriber.due {
            if due.to.is_none() {
                due.to = Some(self.published[due.channel].len());
                self.members.leave(due.channel, &subscriber.peer);
            }
        }
    }
}

/// Invariant: a subscriber sees a gapless ordered stream or is told about the gap, and nothing is left at the end.
#[test]
fn every_subscriber_sees_the_one_order_or_is_told_otherwise() {
    for seed in seeds(SEEDS) {
        World::new(seed.0).run();
    }
}
