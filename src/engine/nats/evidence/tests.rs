//! Evidence of servers that differ as a seed decides, and the ways in which they deceived a hub, one by one.

use super::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const SEEDS: u64 = 20_000;

/// A log: whether each message, from number 1 on, is of the channel.
struct Log {
    is_ours: Vec<bool>,
    kept: usize,
    /// Messages that fit into it.
    room: u64,
}

/// One copy of it.
#[derive(Clone, Copy)]
struct Copy {
    reached: u64,
    /// What is up to here was too old by its clock.
    too_old: u64,
}

impl Log {
    fn is_ours(&self, number: u64) -> bool {
        self.is_ours[usize::try_from(number).unwrap() - 1]
    }

    /// Returns the number of the first message of a copy, or the next one if it has none.
    fn begins(&self, copy: Copy) -> u64 {
        copy.too_old.max(copy.reached.saturating_sub(self.room)) + 1
    }

    /// Returns the next message of the channel that a copy has.
    fn next(&self, copy: Copy, from: u64) -> Option<u64> {
        let newer = |number| (number + 1..=copy.reached).filter(|newer| self.is_ours(*newer)).count();
        let mut all = from.max(self.begins(copy))..=copy.reached;
        all.find(|number| self.is_ours(*number) && newer(*number) < self.kept)
    }

    fn all(&self, copy: Copy, from: u64) -> Vec<u64> {
        let mut numbers = Vec::new();
        while let Some(next) = self.next(copy, numbers.last().map_or(from, |last| last + 1)) {
            numbers.push(next);
        }
        numbers
    }
}

/// Returns what is lost if the evidence is believed, and whether it is.
fn play(seed: u64) -> (Vec<u64>, bool) {
    let mut random = StdRng::seed_from_u64(seed);
    let len: usize = random.random_range(5..60);
    let share = random.random_range(0.05..0.9);
    let log = Log {
        is_ours: (0..len).map(|_| random.random_bool(share)).collect(),
        kept: random.random_range(2..20),
        room: random.random_range(10..80),
    };
    let len = len as u64;
    let until = random.random_range(0..=len);
    let after = random.random_range(0..=until);
    let mut copy = || {
        let reached = if random.random_bool(0.6) { len } else { random.random_range(0..=len) };
        let too_old = if random.random_bool(0.6) { 0 } else { random.random_range(0..=reached) };
        Copy { reached, too_old }
    };
    let (first, mut read_from, leader) = (copy(), copy(), copy());
    let newest = log.all(first, 1).last().copied();
    // It may go on while it is read.
    let (mut read, batch) = (Vec::new(), random.random_range(1..60));
    while read.len() < batch
        && let Some(next) = log.next(read_from, read.last().map_or(after + 1, |last| last + 1))
    {
        read.push(next);
        // The leader is asked later, and is further, unless it was cut off.
        if leader.reached == len && random.random_bool(0.3) {
            read_from.reached = random.random_range(read_from.reached..=len);
        }
    }
    let evidence = Evidence {
        after,
        until,
        kept: log.kept,
        newest: Newest { reached: first.reached, number: newest },
        read: &read,
        is_whole: read.len() < batch,
        leader: Leader {
            oldest: log.next(leader, after + 1),
            begins: log.begins(leader),
            is_full: log.all(leader, 1).len() >= log.kept,
            oldest_of_all: log.next(leader, 1),
            reached: leader.reached,
        },
    };
    let floor = evidence.floor();
    let missing = |floor: u64| (floor + 1..=until).filter(|number| log.is_ours(*number) && !read.contains(number));
    (floor.map(|floor| missing(floor).collect()).unwrap_or_default(), floor.is_some())
}

#[test]
fn servers_that_differ_never_prove_that_a_hole_is_complete() {
    let mut believed = 0;
    for seed in 0..SEEDS {
        let (lost, is_believed) = play(seed);
        assert!(lost.is_empty(), "seed {seed}: {lost:?} are lost silently");
        believed += usize::from(is_believed);
    }
    assert!(believed > 1000, "only {believed} were believed: it proves nothing");
}

/// All messages of one channel of a log whose servers agree: 3, 5 and 8, of which what comes after 3 is wanted, up to
/// 9.
fn of_equal_servers(read: &[u64]) -> Evidence<'_> {
    Evidence {
        after: 3,
        until: 9,
        kept: 10,
        newest: Newest { reached: 9, number: Some(8) },
        read,
        is_whole: true,
        leader: LEADER,
    }
}

const LEADER: Leader = Leader { oldest: Some(5), begins: 1, is_full: false, oldest_of_all: Some(3), reached: 9 };

#[test]
fn servers_that_agree_prove_what_was_read() {
    let all = of_equal_servers(&[5, 8]);
    assert_eq!(all.floor(), Some(3));
    let newer = Newest { reached: 12, number: Some(11) };
    let goes_on = Leader { reached: 12, ..LEADER };
    assert_eq!(Evidence { newest: newer, leader: goes_on, ..of_equal_servers(&[5, 8, 11]) }.floor(), Some(3));
    assert_eq!(Evidence { leader: Leader { oldest: Some(8), begins: 6, ..LEADER }, ..all }.floor(), Some(5));
    let nothing = Evidence { newest: Newest { reached: 9, number: None }, ..of_equal_servers(&[]) };
    assert_eq!(Evidence { leader: Leader { oldest: None, begins: 7, ..LEADER }, ..nothing }.floor(), Some(6));
}

/// What a hub is told by a server that was cut off, or lags behind, is not believed, whichever answer is its.
#[test]
fn server_that_is_behind_is_not_believed() {
    let all = of_equal_servers(&[5, 8]);
    assert_eq!(of_equal_servers(&[5]).floor(), None, "the one that was read");
    assert_eq!(of_equal_servers(&[]).floor(), None, "the one that was read");
    let cut_off = Newest { reached: 6, number: Some(5) };
    assert_eq!(Evidence { newest: cut_off, ..all }.floor(), None, "the one that names the newest");
    assert_eq!(Evidence { newest: cut_off, ..of_equal_servers(&[5]) }.floor(), None, "both of these");
    assert_eq!(Evidence { leader: Leader { reached: 6, ..LEADER }, ..all }.floor(), None, "the leader");
    assert_eq!(Evidence { newest: Newest::default(), ..all }.floor(), None, "none has said how far it is");
}

#[test]
fn server_that_has_forgotten_earlier_than_the_others_is_not_believed() {
    assert_eq!(of_equal_servers(&[8]).floor(), None);
    let forgot_all = Evidence { newest: Newest { reached: 9, number: None }, ..of_equal_servers(&[]) };
    assert_eq!(forgot_all.floor(), None);
    let forgot_newest = Evidence { newest: Newest { reached: 9, number: None }, ..of_equal_servers(&[5]) };
    assert_eq!(forgot_newest.floor(), None, "the one that names the newest, and the one that was read is behind");
}

#[test]
fn answer_that_broke_off_is_not_believed() {
    assert_eq!(Evidence { is_whole: false, ..of_equal_servers(&[5, 8]) }.floor(), None);
}

/// A channel that is published to while it is read loses messages behind the place that the reading has come to.
#[test]
fn what_the_limit_drops_while_it_is_read_is_not_taken_for_complete() {
    // 5 was read, then 6 and 7 came and pushed 5 and 6 out, so 6 was never read.
    let read = [5, 7, 8, 9];
    let evidence =
        Evidence { kept: 3, leader: Leader { oldest: Some(7), is_full: true, ..LEADER }, ..of_equal_servers(&read) };
    assert_eq!(evidence.floor(), Some(6));
}

/// The leader is further than the server that was read, which has forgotten what the leader dropped for its limit.
#[test]
fn what_the_leader_may_have_dropped_for_its_limit_is_not_taken_for_complete() {
    let full = Leader { is_full: true, oldest_of_all: Some(5), ..LEADER };
    assert_eq!(Evidence { kept: 3, leader: full, ..of_equal_servers(&[5, 8]) }.floor(), Some(4));
    let older = Leader { oldest_of_all: Some(2), ..full };
    assert_eq!(
        Evidence { kept: 3, leader: older, ..of_equal_servers(&[5, 8]) }.floor(),
        Some(3),
        "it has what is before, too"
    );
}
