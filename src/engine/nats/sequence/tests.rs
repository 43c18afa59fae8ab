//! A sequence against fates that a seed decides, and one by one where it matters.

use super::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const SEEDS: u64 = 3000;

const CHANNELS: [&str; 4] = ["a", "b", "c", "~beacon"];

#[derive(Clone, Debug, Eq, PartialEq)]
struct Text {
    channel: &'static str,
    /// Tells messages apart that have the same number in two incarnations.
    id: u64,
}

impl Message for Text {
    fn channel(&self) -> &str {
        self.channel
    }

    fn bytes(&self) -> usize {
        10
    }
}

/// A log with a limit per channel, as its replicas have it.
struct Log {
    epoch: Epoch,
    /// All that were ever stored; the first has number 1.
    all: Vec<Text>,
    history_messages_max: usize,
    /// What is up to here was dropped for its age.
    floor: u64,
}

impl Log {
    fn last(&self) -> u64 {
        self.all.len() as u64
    }

    /// Whether a replica that is so far still has a message.
    fn has(&self, sequence: u64, replica: u64) -> bool {
        let index = |number: u64| usize::try_from(number).expect("it is small");
        let text = &self.all[index(sequence) - 1];
        let newer = self.all[index(sequence)..index(replica)].iter().filter(|one| one.channel == text.channel).count();
        sequence > self.floor && newer < self.history_messages_max
    }

    /// What a replica that is so far answers.
    fn fetch(&self, from: u64, count: usize, replica: u64) -> Batch<Text> {
        let stored = (from..=replica).filter(|sequence| self.has(*sequence, replica));
        let messages: Vec<_> = stored.take(count).map(|sequence| (sequence, self.text(sequence).clone())).collect();
        let reached = messages.last().map_or(0, |(sequence, _)| *sequence);
        Batch { messages, reached }
    }

    fn text(&self, sequence: u64) -> &Text {
        &self.all[usize::try_from(sequence).expect("it is small") - 1]
    }

    fn state(&self) -> State {
        State { epoch: self.epoch, last: self.last(), floor: self.floor }
    }
}

/// What has to hold for the steps of a sequence: everything of a channel in its order, each once, or a gap.
struct Judge {
    /// Up to where each channel was delivered or declared lost.
    cursors: HashMap<&'static str, u64>,
    applied: u64,
    gaps: usize,
    delivered: usize,
}

impl Judge {
    fn new(after: u64) -> Self {
        Self { cursors: CHANNELS.map(|channel| (channel, after)).into(), applied: after, gaps: 0, delivered: 0 }
    }

    fn check(&mut self, log: &Log, step: Step<Text>) {
        match step {
            Step::Lose { upto } => {
                self.cursors.values_mut().for_each(|cursor| *cursor = upto.max(*cursor));
                self.applied = self.applied.max(upto);
                self.gaps += 1;
            }
            Step::Deliver { sequence, message, is_after_gap } => {
                assert!(sequence > self.applied, "{sequence} again or late, after {}", self.applied);
                assert_eq!(&message, log.text(sequence), "{sequence}");
                if is_after_gap {
                    self.cursors.insert(message.channel, sequence - 1);
                    self.gaps += 1;
                }
                self.check_complete(log, message.channel, sequence);
                self.cursors.insert(message.channel, sequence);
                self.applied = sequence;
                self.delivered += 1;
            }
        }
    }

    /// Nothing of a channel before this number is left out silently.
    fn check_complete(&self, log: &Log, channel: &str, before: u64) {
        let from = self.cursors[channel] + 1;
        let left_out = (from..before).find(|sequence| log.text(*sequence).channel == channel);
        assert_eq!(left_out, None, "of {channel}, before {before}: left out and not declared");
    }
}

/// One run: a log, what announces it, and a sequence that follows.
struct World {
    random: StdRng,
    log: Log,
    /// Those that were lost.
    old: Vec<Log>,
    sequence: Sequence<Text>,
    judge: Judge,
    /// Announced and not arrived, or going to arrive again.
    under_way: Vec<(Epoch, u64, Text)>,
    loss: f64,
    limits: Limits,
    next_id: u64,
    /// A log made anew is noticed.
    breaks: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let limits = Limits {
            history_messages_max: [1, 2, 3, 10, 1000][random.random_range(0..5)],
            resync_messages_max: [20, 10_000][random.random_range(0..2)],
            hold_bytes_max: [50, 500, usize::MAX][random.random_range(0..3)],
        };
        let log =
            Log { epoch: Epoch::new(1), all: Vec::new(), history_messages_max: limits.history_messages_max, floor: 0 };
        let sequence = Sequence::new(log.epoch, 0, limits);
        let loss = [0.0, 0.05, 0.5, 1.0][random.random_range(0..4)];
        let (judge, under_way) = (Judge::new(0), Vec::new());
        Self { random, log, old: Vec::new(), sequence, judge, under_way, loss, limits, next_id: 0, breaks: 0 }
    }

    fn publish(&mut self) {
        for _ in 0..self.random.random_range(1..8) {
            // Some channels have much more than others.
            let channel = CHANNELS[[0, 0, 0, 0, 0, 1, 1, 2, 3][self.random.random_range(0..9)]];
            self.next_id += 1;
            let text = Text { channel, id: self.next_id };
            self.log.all.push(text.clone());
            let copies = if self.random.random_bool(0.1) { 2 } else { 1 };
            for _ in 0..copies {
                if !self.random.random_bool(self.loss) {
                    self.under_way.push((self.log.epoch, self.log.last(), text.clone()));
                }
            }
        }
    }

    /// What is under way arrives, mostly in order.
    fn arrive(&mut self) {
        for _ in 0..self.random.random_range(1..10) {
            if self.under_way.is_empty() {
                return;
            }
            let at = if self.random.random_bool(0.1) { self.random.random_range(0..self.under_way.len()) } else { 0 };
            let (epoch, sequence, message) = self.under_way.remove(at);
            let is_new = epoch == self.log.epoch;
            match self.sequence.live(epoch, sequence, message) {
                Live::Deliver(message) => {
                    self.check(Step::Deliver { sequence, message, is_after_gap: false });
                }
                Live::Waiting | Live::Duplicate => {}
                Live::OtherEpoch => {
                    assert!(!is_new || self.sequence.epoch != self.log.epoch, "an announcement of this log");
                    if is_new {
                        self.ask();
                    }
                }
            }
            self.step();
        }
    }

    /// Checks a step against the log that it is of, which may be lost meanwhile.
    fn check(&mut self, step: Step<Text>) {
        let known = self.old.iter().chain([&self.log]).find(|log| log.epoch == self.sequence.epoch);
        self.judge.check(known.expect("every log is known"), step);
    }

    fn step(&mut self) {
        while let Some(step) = self.sequence.pop_step() {
            self.check(step);
        }
    }

    /// Does what is needed, once. A replica may be behind, but not behind what was read before by its leader.
    fn work(&mut self) -> bool {
        match self.sequence.need() {
            Need::Nothing => {
                self.step();
                return false;
            }
            Need::State => self.ask(),
            // The log may have begun anew, and not be that far.
            Need::Fetch { from, .. } if self.sequence.epoch != self.log.epoch || from > self.log.last() => self.ask(),
            Need::Fetch { from, until } => {
                assert!(from <= until);
                let replica = match self.random.random_range(0..3) {
                    0 => self.random.random_range(0..=self.log.last()),
                    1 => self.log.last().saturating_sub(2),
                    _ => self.log.last(),
                };
                let mut batch = self.log.fetch(from, self.random.random_range(1..20), replica);
                if replica == self.log.last() && batch.messages.is_empty() {
                    // The leader has no other.
                    batch.reached = replica;
                }
                self.sequence.fetched(batch);
            }
        }
        self.step();
        true
    }

    /// Asks how far the log is, and begins anew if it is another one.
    fn ask(&mut self) {
        let state = self.log.state();
        match self.sequence.state(state) {
            Ok(()) => {}
            Err(seen) => {
                assert!(matches!(seen, Break::OtherEpoch(_)), "{seen:?}");
                self.breaks += 1;
                self.sequence = Sequence::new(state.epoch, state.floor, self.limits);
                self.judge = Judge::new(state.floor);
                assert_eq!(self.sequence.state(state), Ok(()));
            }
        }
        self.step();
    }

    /// The log drops what is old.
    fn age(&mut self) {
        let last = self.log.last();
        if last > self.log.floor {
            self.log.floor = self.random.random_range(self.log.floor..last);
        }
    }

    /// The log is lost, and made anew.
    fn renew(&mut self) {
        let epoch = Epoch::new(self.log.epoch.number() + 1);
        let new = Log { epoch, all: Vec::new(), floor: 0, ..self.log };
        self.old.push(std::mem::replace(&mut self.log, new));
    }

    fn run(&mut self) {
        let (ages, renews) = (self.random.random_bool(0.3), self.random.random_bool(0.3));
        for _ in 0..self.random.random_range(5..80) {
            match self.random.random_range(0..100) {
                0..35 => self.publish(),
                35..65 => self.arrive(),
                65..90 => _ = self.work(),
                90..95 => self.ask(),
                95..97 if ages => self.age(),
                97 if renews => self.renew(),
                _ => {}
            }
            assert!(self.sequence.waiting_bytes <= self.limits.hold_bytes_max, "what waits is bounded");
        }
        // A beacon: nothing is lost any more, and somebody looks.
        self.loss = 0.0;
        while !self.under_way.is_empty() {
            self.arrive();
        }
        self.ask();
        let mut turns = 0;
        while self.work() {
            turns += 1;
            assert!(turns < 10_000, "it comes to an end: {:?}", self.sequence.need());
        }
        assert_eq!(
            (self.sequence.applied(), self.judge.applied.max(self.sequence.applied())),
            (self.log.last(), self.log.last())
        );
        for channel in CHANNELS {
            self.judge.check_complete(&self.log, channel, self.log.last() + 1);
        }
        assert_eq!((self.sequence.waiting.len(), self.sequence.waiting_bytes, self.sequence.holes.len()), (0, 0, 0));
        let is_nothing_lost =
            !ages && self.limits.history_messages_max == 1000 && self.limits.resync_messages_max > 1000;
        assert!(!is_nothing_lost || self.judge.gaps == 0, "a gap that is none");
    }
}

/// Prints the seed of the run that fails.
struct Seed(u64);

impl Drop for Seed {
    #[expect(clippy::print_stderr, reason = "how to run the failure again")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("run again with World::new({}).run()", self.0);
        }
    }
}

/// Invariant: of each channel everything is delivered in the order of the log, each once, or a gap is declared there.
#[test]
fn every_channel_gets_the_log_or_a_gap_whatever_happens() {
    let (mut delivered, mut gaps, mut breaks) = (0, 0, 0);
    for seed in 0..SEEDS {
        let seed = Seed(seed);
        let mut world = World::new(seed.0);
        world.run();
        (delivered, gaps, breaks) = (delivered + world.judge.delivered, gaps + world.judge.gaps, breaks + world.breaks);
    }
    let has_happened = delivered > 1000 && gaps > 100 && breaks > 10;
    assert!(has_happened, "{delivered} delivered, {gaps} gaps, {breaks} breaks");
}

fn text(channel: &'static str) -> Text {
    Text { channel, id: 0 }
}

fn sequence(history_messages_max: usize) -> Sequence<Text> {
    let limits = Limits { history_messages_max, resync_messages_max: 1000, hold_bytes_max: 1000 };
    Sequence::new(Epoch::new(1), 100, limits)
}

fn batch(messages: &[(u64, &'static str)]) -> Batch<Text> {
    let messages: Vec<_> = messages.iter().map(|(sequence, channel)| (*sequence, text(channel))).collect();
    Batch { reached: messages.last().map_or(0, |(sequence, _)| *sequence), messages }
}

fn state(last: u64) -> State {
    State { epoch: Epoch::new(1), last, floor: 0 }
}

/// Numbers of what is delivered, those after a gap negative.
fn steps(sequence: &mut Sequence<Text>) -> Vec<i64> {
    let step = |step| match step {
        Step::Deliver { sequence, is_after_gap, .. } => {
            i64::try_from(sequence).unwrap() * if is_after_gap { -1 } else { 1 }
        }
        Step::Lose { upto } => i64::try_from(upto).unwrap() * -1000,
    };
    std::iter::from_fn(|| sequence.pop_step()).map(step).collect()
}

#[test]
fn what_comes_in_order_is_delivered_at_once_and_nothing_is_asked() {
    let mut sequence = sequence(10);
    assert_eq!(sequence.live(Epoch::new(1), 101, text("a")), Live::Deliver(text("a")));
    assert_eq!(sequence.live(Epoch::new(1), 101, text("a")), Live::Duplicate);
    assert_eq!(sequence.live(Epoch::new(2), 102, text("a")), Live::OtherEpoch);
    assert_eq!(sequence.live(Epoch::new(1), 102, text("b")), Live::Deliver(text("b")));
    assert_eq!((sequence.applied(), sequence.need()), (102, Need::Nothing));
}

#[test]
fn what_is_missing_is_fetched_up_to_what_waits() {
    let mut sequence = sequence(10);
    assert_eq!(sequence.live(Epoch::new(1), 104, text("a")), Live::Waiting);
    assert_eq!(sequence.need(), Need::Fetch { from: 101, until: 103 });
    sequence.fetched(batch(&[(101, "a"), (102, "b")]));
    assert_eq!((steps(&mut sequence), sequence.need()), (vec![101, 102], Need::Fetch { from: 103, until: 103 }));
    // It came late after all.
    assert_eq!(sequence.live(Epoch::new(1), 103, text("a")), Live::Waiting);
    assert_eq!((steps(&mut sequence), sequence.need()), (vec![103, 104], Need::Nothing));
}

/// A replica that is behind answers with nothing, which proves nothing.
#[test]
fn answer_of_a_replica_that_is_behind_proves_nothing() {
    let mut sequence = sequence(10);
    sequence.live(Epoch::new(1), 103, text("a"));
    sequence.fetched(batch(&[]));
    assert_eq!((steps(&mut sequence), sequence.need()), (vec![], Need::Fetch { from: 101, until: 102 }));
    sequence.fetched(Batch { messages: Vec::new(), reached: 102 });
    assert_eq!(sequence.need(), Need::State, "the leader has none of them");
}

/// The log keeps two of each channel. `a` has two after the hole, which may be its own; `b` has one, so it lost
/// nothing.
#[test]
fn hole_is_blamed_on_those_channels_alone_that_have_as_many_as_the_log_keeps() {
    let mut sequence = sequence(2);
    sequence.live(Epoch::new(1), 105, text("a"));
    sequence.fetched(batch(&[(101, "c"), (103, "b"), (104, "a")]));
    assert_eq!((steps(&mut sequence), sequence.need()), (vec![101], Need::State), "nothing after the hole");
    assert_eq!(sequence.state(state(105)), Ok(()));
    assert_eq!((steps(&mut sequence), sequence.need()), (vec![103, -104, 105], Need::Nothing));
}

/// The messages that pushed one out may be newer than what is fetched: they are waited for.
#[test]
fn hole_is_not_judged_before_the_end_of_the_log_is_known() {
    let mut sequence = sequence(2);
    sequence.live(Epoch::new(1), 103, text("b"));
    sequence.fetched(Batch { messages: Vec::new(), reached: 102 });
    assert_eq!(sequence.state(state(105)), Ok(()));
    assert_eq!((steps(&mut sequence), sequence.need()), (vec![], Need::Fetch { from: 104, until: 105 }));
    assert_eq!(sequence.live(Epoch::new(1), 104, text("a")), Live::Waiting);
    assert_eq!(sequence.live(Epoch::new(1), 105, text("a")), Live::Waiting);
    assert_eq!(steps(&mut sequence), [103, -104, 105]);
}

#[test]
fn what_the_log_dropped_for_its_age_is_lost_for_all() {
    let mut sequence = sequence(10);
    sequence.live(Epoch::new(1), 200, text("a"));
    assert_eq!(sequence.state(State { floor: 150, ..state(200) }), Ok(()));
    assert_eq!((steps(&mut sequence), sequence.need()), (vec![-150_000], Need::Fetch { from: 151, until: 199 }));
    sequence.live(Epoch::new(1), 1500, text("a"));
    assert_eq!(sequence.need(), Need::Fetch { from: 501, until: 1499 }, "more than is fetched");
    assert_eq!(steps(&mut sequence), [-500_000]);
}

#[test]
fn another_log_is_noticed() {
    let mut sequence = sequence(10);
    assert_eq!(sequence.state(state(99)), Err(Break::Fork { last: 99 }));
    assert_eq!(sequence.state(state(100)), Ok(()));
    let other = State { epoch: Epoch::new(2), ..state(100) };
    assert_eq!(sequence.state(other), Err(Break::OtherEpoch(Epoch::new(2))));
}
