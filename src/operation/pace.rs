//! A pace: connections closed evenly over a time, so that they come back elsewhere as a stream and not as a wave.

use crate::hub::Hub;
use crate::net::socket::SocketSink;
use crate::protocol::CloseReason;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Time between two groups: ten a second look like a stream to whoever takes the connections over.
const TICK: Duration = Duration::from_millis(100);

/// Time between two lines of the log.
const REPORT: Duration = Duration::from_secs(5);

/// How slowly connections are closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Pace {
    /// Before the first one.
    pub(crate) grace: Duration,
    /// From the first to the last.
    pub(crate) time: Duration,
}

impl Pace {
    /// A person waits.
    pub(crate) const AT_ONCE: Self = Self { grace: Duration::ZERO, time: Duration::ZERO };
}

/// Why connections are closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// The process ends.
    Stop,
    /// The hub leaves its balancer and waits for what comes.
    Drain,
    /// A share of the connections moves to other hubs.
    Shed,
}

impl Kind {
    /// Returns the word for logs and answers.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Drain => "drain",
            Self::Shed => "shed",
        }
    }

    const fn reason(self) -> CloseReason {
        match self {
            Self::Stop | Self::Drain => CloseReason::Shutdown,
            Self::Shed => CloseReason::Shed,
        }
    }
}

/// A closing of connections: what was asked, and how far it is.
#[derive(Debug)]
pub(crate) struct Closing {
    pub(crate) kind: Kind,
    pub(crate) pace: Pace,
    began: Instant,
    total: AtomicUsize,
    asked: AtomicUsize,
    is_over: std::sync::atomic::AtomicBool,
}

impl Closing {
    pub(crate) fn new(kind: Kind, pace: Pace, total: usize) -> Self {
        let total = AtomicUsize::new(total);
        Self { kind, pace, began: Instant::now(), total, asked: AtomicUsize::new(0), is_over: false.into() }
    }

    /// Notes how many there are when the first one is about to be closed: some came and went since it was asked for.
    pub(crate) fn begin_closing(&self, total: usize) {
        // Relaxed here and below: each number stands for itself.
        self.total.store(total, Ordering::Relaxed);
    }

    /// Returns how many are to be closed in all.
    pub(crate) fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// Returns how many were told to go so far.
    pub(crate) fn closed(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Returns whether the last one was told.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Returns the time until the last one is told.
    pub(crate) fn time_left(&self) -> Duration {
        if self.is_over() {
            return Duration::ZERO;
        }
        (self.pace.grace + self.pace.time).saturating_sub(self.began.elapsed())
    }
}

/// Closes what the closing counts, evenly over its time, and the rest with the last group. Ends early when nobody is
/// left.
pub(crate) async fn close_evenly(hub: &Hub<SocketSink>, closing: &Closing) {
    let (start, reason) = (Instant::now(), closing.kind.reason());
    let mut reported = start;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let passed = start.elapsed();
        let due = due(closing.total(), passed, closing.pace.time);
        close(hub, due - closing.closed().min(due), reason).await;
        closing.asked.fetch_max(due, Ordering::Relaxed);
        let is_empty = closing.kind == Kind::Stop && hub.placement().taken() == 0;
        if passed >= closing.pace.time || is_empty {
            break;
        }
        if reported.elapsed() >= REPORT {
            reported = Instant::now();
            report(closing);
        }
    }
    match closing.kind {
        Kind::Stop => close_all(hub, reason).await,
        // Who slipped in meanwhile.
        Kind::Drain => close(hub, usize::MAX, reason).await,
        Kind::Shed => {}
    }
    closing.is_over.store(true, Ordering::Relaxed);
    report(closing);
}

/// Returns how many of `total` are to be closed when so much of the time has passed.
fn due(total: usize, passed: Duration, time: Duration) -> usize {
    if passed >= time {
        return total;
    }
    let share = total as u128 * passed.as_nanos() / time.as_nanos().max(1);
    usize::try_from(share).unwrap_or(total)
}

/// Closes that many, in turn of the shards by what each still has.
async fn close(hub: &Hub<SocketSink>, count: usize, reason: CloseReason) {
    if count == 0 {
        return;
    }
    let mut open: Vec<usize> = hub.placement().taken_by_shard();
    for (shard, count) in shares(&mut open, count).into_iter().enumerate().filter(|(_, count)| *count > 0) {
        // An inbox is never closed.
        let Ok(credit) = hub.inbox(shard).take(1).await else { return };
        hub.close_some(shard, count, reason, credit);
    }
}

/// Closes everybody, and who is still on the way in.
async fn close_all(hub: &Hub<SocketSink>, reason: CloseReason) {
    for shard in 0..hub.shards() {
        // An inbox is never closed.
        let Ok(credit) = hub.inbox(shard).take(1).await else { return };
        hub.close_all(shard, reason, credit);
    }
}

/// Spreads `count` over shards, always one from the fullest, all when there are not so many.
fn shares(open: &mut [usize], count: usize) -> Vec<usize> {
    if count >= open.iter().sum() {
        return open.to_vec();
    }
    let mut shares = vec![0; open.len()];
    for _ in 0..count {
        if let Some(fullest) = (0..open.len()).max_by_key(|shard| open[*shard]) {
            open[fullest] -= 1;
            shares[fullest] += 1;
        }
    }
    shares
}

fn report(closing: &Closing) {
    tracing::info!(
        closed = closing.closed(),
        of = closing.total(),
        seconds_left = closing.time_left().as_secs(),
        "{}{}",
        closing.kind.name(),
        if closing.is_over() { ": everybody was told to go" } else { " under way" }
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second with many closes is a wave for whoever takes them over.
    #[test]
    fn every_tenth_of_the_time_closes_a_tenth() {
        let time = Duration::from_secs(10);
        let sums: Vec<_> = (0..=10).map(|second| due(2_000, Duration::from_secs(second), time)).collect();
        assert!(sums.windows(2).all(|pair| pair[1] - pair[0] == 200), "{sums:?}");
        assert_eq!((due(7, time, time), due(7, Duration::ZERO, Duration::ZERO)), (7, 7));
    }

    #[test]
    fn fuller_shards_give_more_and_nobody_gives_what_it_has_not() {
        assert_eq!(shares(&mut [10, 4, 0], 8), [7, 1, 0]);
        assert_eq!(shares(&mut [1, 2], usize::MAX), [1, 2]);
    }
}
