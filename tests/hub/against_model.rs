//! The hub against a reference model: whatever happens in whatever order, a subscriber sees the channel's one order,
//! without a gap that it was not told about, and one that returns gets exactly what it missed or is told that it does
//! not.
//!
//! A seed decides everything, and a failure prints it. `THRONG_SEED=7` runs that seed, `THRONG_SEEDS=100000` as many.

#![expect(clippy::panic, reason = "what fails here fails the test")]

use crate::simulation::{End, Peer, SimulatedHub, published_line};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::HashMap;
use std::env;
use std::time::Duration;
use throng::config::{HubLimits, SlowConsumer, TuningConfig};
use throng::engine::replies::{REPLY_BYTES_MAX, ReplyBudget};
use throng::hub::{Command, HistoryOptions, MessageShape, Published, Since};
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
const ENCODINGS: [Encoding; 5] = {
    use Encoding::{Centrifuge, Frames, Lines, NumberedLines};
    [Lines, NumberedLines, Frames, Centrifuge(Format::Json), Centrifuge(Format::Protobuf)]
};

/// More than the bytes of a push besides its text.
const PUSH_BYTES: usize = 64;

/// Most publications of a recovery.
const RECOVERED_MAX: usize = 300;

/// One life of a channel, between which its offsets begin anew: the number of its first line, and how it is named.
#[derive(Clone, Copy, PartialEq)]
struct Life {
    first: usize,
    epoch: Option<Epoch>,
}

/// What a subscriber should get of one channel: the lines from here on, up to here once it has left.
#[derive(Clone, Copy)]
struct Due {
    channel: &'static str,
    from: usize,
    to: Option<usize>,
}

/// What was published.
struct Line {
    text: String,
    offset: u64,
    at: Duration,
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
}

/// The reference model: every channel is a list, every subscriber a range of it.
struct World {
    hub: SimulatedHub,
    limits: HubLimits,
    random: StdRng,
    published: HashMap<&'static str, Vec<Line>>,
    lives: HashMap<&'static str, Life>,
    history: HistoryOptions,
    subscribers: Vec<Subscriber>,
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
        let published = CHANNELS.into_iter().map(|channel| (channel, Vec::new())).collect();
        let lives = CHANNELS.into_iter().map(|channel| (channel, Life { first: 0, epoch: None })).collect();
        Self { hub, limits, random, published, lives, history, subscribers: vec![], is_closing_all: false }
    }

    fn run(&mut self) {
        for _ in 0..self.random.random_range(20..200) {
            match self.random.random_range(0..100) {
                0..10 => self.connect(),
                10..55 => self.publish(),
                55..75 => self.pass(),
                75..92 => self.disturb(),
                92..94 => self.leave(),
                94 => match self.random.random_range(0..4) {
                    0 | 1 => self.unsubscribe(),
                    2 => self.subscribe_again(),
                    _ => self.reply(),
                },
                95 => {
                    self.hub.sweep();
                    self.hub.announce();
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
        }
        if self.random.random() {
            self.hub.close_all(CloseReason::Shutdown);
            self.is_closing_all = true;
        }
        self.subscribers.iter().for_each(|subscriber| subscriber.peer.resume());
        self.hub.advance(milliseconds(COALESCE_DELAY_MAX));
        self.subscribers.iter().for_each(|subscriber| self.check(subscriber));
        self.check_counts();
        self.hub.end();
        for Subscriber { budget, .. } in &self.subscribers {
            assert_eq!(budget.available(), REPLY_BYTES_MAX, "what paid for replies is back");
        }
    }

    fn connect(&mut self) {
        let encoding = ENCODINGS[self.random.random_range(0..ENCODINGS.len())];
        let is_split = self.random.random_ratio(1, 5);
        let mut peer = self.hub.connect_as(MessageShape { encoding, is_split, has_signs_of_life: false });
        let is_mute = self.random.random_ratio(1, 10);
        if is_mute {
            peer = peer.mute();
        }
        // As a connection whose bytes are encrypted does.
        peer.pipe().keep([0, 0, 1, 16_384][self.random.random_range(0..4)]);
        let (count, first) = (self.random.random_range(1..=2), self.random.random_range(0..3));
        let channels = CHANNELS.into_iter().cycle().skip(first).take(count);
        let due = channels.map(|channel| self.subscribe(&peer, channel)).collect();
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
            self.subscribers[chosen].due.push(due);
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
        let start = peer.subscribe_since(channel, since);
        let epoch = start.position.map(|position| position.epoch);
        assert_eq!(epoch.is_some(), self.history.is_on());
        let end = self.published[channel].len();
        if start.position.is_some_and(|position| position.offset == 0) {
            self.lives.insert(channel, Life { first: end, epoch });
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
                let is_recoverable = Some(position.epoch) == epoch && self.keeps_since(channel, position);
                assert_eq!(start.is_recovered, Some(is_recoverable), "{position}");
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
        let lines = &self.published[channel][self.lives[channel].first..];
        let Some(missed) = usize::try_from(position.offset).ok().and_then(|offset| lines.get(offset..)) else {
            return false;
        };
        let bytes: usize = missed.iter().map(|line| line.text.len() + 1).sum();
        let is_old = |line: &Line| self.hub.now() - line.at >= self.history.ttl;
        missed.len() <= self.history.size.min(RECOVERED_MAX)
            && bytes <= self.limits.outbox_bytes_max
            && !missed.iter().any(is_old)
    }

    fn unsubscribe(&mut self) {
        let is_here = |subscriber: &&mut Subscriber| subscriber.due.iter().filter(|due| due.to.is_none()).count() > 1;
        if let Some(subscriber) = self.subscribers.iter_mut().find(is_here) {
            let due = subscriber.due.iter_mut().find(|due| due.to.is_none()).expect("there are two");
            subscriber.peer.unsubscribe(due.channel);
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
                self.lives.insert(channel, Life { first: number, epoch });
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
            due.to.get_or_insert_with(|| self.published[due.channel].len());
        }
    }

    fn check(&self, subscriber: &Subscriber) {
        let peer = &subscriber.peer;
        let reason = peer.closed();
        match reason {
            None => {}
            Some(CloseReason::SlowConsumer) => {
                let is_closed = self.limits.slow_consumer == SlowConsumer::Close || !subscriber.encoding.may_skip();
                assert!(subscriber.was_slow && is_closed);
                self.check_had_its_time(subscriber);
            }
            Some(CloseReason::NoPong) => assert!(subscriber.was_slow || subscriber.is_mute),
            Some(CloseReason::TooManyRequests) => assert!(subscriber.asked_to_close),
            Some(CloseReason::Shutdown) => assert!(self.is_closing_all),
            Some(other) => panic!("{other:?} was not asked for"),
        }
        assert!(reason.is_none() || peer.pipe().undecoded() == 0, "bytes after the close frame");
        let was_cut = peer.has_left() || peer.pipe().is_gone() || peer.end() == End::Aborted;
        let has_all = !was_cut && matches!(reason, None | Some(CloseReason::Shutdown));
        assert!(!has_all || self.is_closing_all == reason.is_some(), "open although all were closed");
        self.check_lines(subscriber, has_all);
    }

    /// A slow consumer lagged by more than memory allows; or by more than its bound, for a while; or stalled for long.
    fn check_had_its_time(&self, subscriber: &Subscriber) {
        let HubLimits { outbox_bytes_max, outbox_stall_max, .. } = self.limits;
        let published = |due: &Due| {
            let lines = &self.published[due.channel];
            let besides = if subscriber.encoding.may_skip() { 1 } else { PUSH_BYTES };
            lines[due.from..due.to.unwrap_or(lines.len())].iter().map(|line| line.text.len() + besides).sum::<usize>()
        };
        let most = subscriber.due.iter().map(published).max().unwrap_or(0);
        let time = self.hub.now() - subscriber.since;
        let is_over = most > outbox_bytes_max && time >= outbox_stall_max / 10;
        assert!(most > 8 * outbox_bytes_max || is_over || time >= outbox_stall_max, "{most} bytes in {time:?}");
    }

    /// No log keeps more than the slowest may lag by, once everything was fanned out and a tick has measured it.
    fn check_memory(&self, time: Duration) {
        if time < milliseconds(COALESCE_DELAY_MAX + 50) {
            return;
        }
        let longest = (0..self.hub.hub().shards()).map(|shard| self.hub.counts(shard).lag_bytes).max();
        assert!(longest <= Some(8 * self.limits.outbox_bytes_max as u64), "a log of {longest:?} bytes");
    }

    /// Order, no gap that was not told exactly, no duplicate, nothing of another channel.
    fn check_lines(&self, subscriber: &Subscriber, has_all: bool) {
        let mut next: HashMap<_, _> = subscriber.due.iter().map(|due| (due.channel, due.from)).collect();
        let (mut told, mut missed, mut replies) = (0, 0, 0);
        let is_single = subscriber.due.len() == 1;
        let is_told = subscriber.encoding.tells_missed();
        for line in subscriber.peer.lines() {
            if let Some(reply) = line.strip_prefix(REPLY) {
                assert!(reply.starts_with(&format!("{replies} ")), "replies come in order, each once: {line}");
                replies += 1;
                continue;
            }
            if let Some(notice) = line.strip_prefix(" [throng] ") {
                told += notice.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0);
                continue;
            }
            let (offset, line) = published_line(subscriber.encoding, line);
            let mut parts = line.split(':');
            let (channel, number) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
            let number: usize = number.parse().unwrap_or_else(|_| panic!("not ours: {line}"));
            let next = next.get_mut(channel).unwrap_or_else(|| panic!("not subscribed to: {line}"));
            assert!(number >= *next, "{line} again or late, expected {next}");
            let published = &self.published[channel][number];
            assert_eq!(line, published.text);
            assert!(offset.is_none_or(|offset| offset == published.offset), "{offset:?}: {line}");
            missed += number - *next;
            assert!(!is_single || !is_told || missed == told, "{missed} missed and {told} told at {line}");
            *next = number + 1;
        }
        assert!(!has_all || replies == subscriber.replies, "{replies} of {} replies", subscriber.replies);
        let behind: usize = subscriber
            .due
            .iter()
            .map(|due| due.to.unwrap_or_else(|| self.published[due.channel].len()).saturating_sub(next[due.channel]))
            .sum();
        assert!(self.limits.slow_consumer == SlowConsumer::Skip || told == 0);
        if has_all && is_told && !subscriber.has_unsubscribed {
            assert_eq!(missed + behind, told, "missed and told");
        } else {
            assert!(told <= missed + behind, "told {told} of {missed} missed and {behind} behind");
        }
    }

    /// What was counted is what happened.
    fn check_counts(&self) {
        let counts: Vec<_> = (0..self.hub.hub().shards()).map(|shard| self.hub.counts(shard)).collect();
        let taken: u64 = self.subscribers.iter().map(|subscriber| subscriber.peer.pipe().taken()).sum();
        assert_eq!(counts.iter().map(|counts| counts.bytes).sum::<u64>(), taken, "bytes");
        let writes: u64 = self.subscribers.iter().map(|subscriber| subscriber.peer.pipe().writes()).sum();
        assert!(counts.iter().map(|counts| counts.sends).sum::<u64>() >= writes, "sends");
        let is_whole = |subscriber: &Subscriber| {
            !subscriber.peer.has_left() && !subscriber.peer.pipe().is_gone() && subscriber.peer.end() != End::Aborted
        };
        let lines = self.subscribers.iter().flat_map(|subscriber| subscriber.peer.lines());
        let lines = lines.filter(|line| !line.starts_with(" [throng]") && !line.starts_with(REPLY)).count() as u64;
        let deliveries = counts.iter().map(|counts| counts.deliveries).sum::<u64>();
        if self.subscribers.iter().all(is_whole) {
            assert_eq!(deliveries, lines, "deliveries");
        } else {
            assert!(deliveries >= lines, "{deliveries} deliveries of {lines} lines");
        }
    }
}

/// Prints the seed of the run that fails.
struct Seed(u64);

impl Drop for Seed {
    #[expect(clippy::print_stderr, reason = "how to run the failure again")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("run again with THRONG_SEED={}", self.0);
        }
    }
}

/// Invariant: a subscriber sees a gapless ordered stream or is told about the gap, and nothing is left at the end.
#[test]
fn every_subscriber_sees_the_one_order_or_is_told_otherwise() {
    let number = |name| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match number("THRONG_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("THRONG_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let seed = Seed(seed);
        World::new(seed.0).run();
    }
}
