//! Paced closing: connections are closed evenly over a time, so that they arrive at other hubs as a stream and not as a
//! wave.

use super::tell::tell_all;
use crate::hub::{Command, Hub};
use crate::net::socket::SocketSink;
use crate::protocol::CloseReason;
use humantime::format_duration;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Time between two groups of closes: ten groups per second look like a stream to the hubs that take over.
const TICK: Duration = Duration::from_millis(100);

/// Longest time between two closes: the few connections of a quiet hub must not make a deploy wait for its whole drain
/// time, and one client per second is no wave for any other hub.
const GAP_MAX: Duration = Duration::from_secs(1);

/// Time between two log lines about progress.
const REPORT: Duration = Duration::from_secs(5);

/// When connections are closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Pace {
    /// From the request to the first close.
    pub(crate) grace: Duration,
    /// From the end of the grace to the last close. With few connections it is shorter: see [`GAP_MAX`].
    pub(crate) time: Duration,
}

impl Pace {
    /// Everything now.
    pub(crate) const AT_ONCE: Self = Self { grace: Duration::ZERO, time: Duration::ZERO };
}

/// Why connections are closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ClosingKind {
    /// The process stops.
    Stop,
    /// The hub is taken out of its balancer, and keeps running.
    Drain,
    /// Some of the connections move to other hubs.
    Shed,
}

impl ClosingKind {
    /// Returns the word for logs and responses.
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

/// The closing of a number of connections: what was requested, and its progress.
#[derive(Debug)]
pub(crate) struct Closing {
    pub(crate) kind: ClosingKind,
    pub(crate) pace: Pace,
    began: Instant,
    total: AtomicUsize,
    closed: AtomicUsize,
    is_over: AtomicBool,
    /// Whether what is left has to happen now.
    haste: watch::Receiver<bool>,
}

impl Closing {
    pub(crate) fn new(kind: ClosingKind, pace: Pace, total: usize, haste: watch::Receiver<bool>) -> Self {
        let (total, closed, is_over) = (AtomicUsize::new(total), AtomicUsize::new(0), AtomicBool::new(false));
        Self { kind, pace, began: Instant::now(), total, closed, is_over, haste }
    }

    /// Returns the time over which the closes are spread.
    fn time(&self) -> Duration {
        if *self.haste.borrow() { Duration::ZERO } else { spread(self.total(), self.pace.time) }
    }

    /// Changes the number of connections to close.
    pub(crate) fn set_total(&self, total: usize) {
        // Relaxed here and below: each number stands for itself.
        self.total.store(total, Ordering::Relaxed);
    }

    /// Returns the number of connections to close.
    pub(crate) fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// Returns the number of connections that shards were asked to close so far.
    pub(crate) fn closed(&self) -> usize {
        self.closed.load(Ordering::Relaxed)
    }

    /// Returns whether shards were asked to close the last one.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Returns the time until the last one is closed.
    pub(crate) fn time_left(&self) -> Duration {
        if self.is_over() {
            return Duration::ZERO;
        }
        (self.pace.grace + self.time()).saturating_sub(self.began.elapsed())
    }
}

/// Closes `closing.total()` connections evenly over the time of the pace, at least one per [`GAP_MAX`], the rest with
/// the last group. A stop ends early when no connection is left.
pub(crate) async fn close_evenly(hub: &Hub<SocketSink>, closing: &Closing) {
    let (start, reason) = (Instant::now(), closing.kind.reason());
    let mut reported = start;
    log_closes(closing);
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let passed = start.elapsed();
        let time = closing.time();
        let due = due(closing.total(), passed, time);
        close(hub, due.saturating_sub(closing.closed()), reason).await;
        closing.closed.store(due, Ordering::Relaxed);
        let is_empty = closing.kind == ClosingKind::Stop && hub.placement().taken() == 0;
        if passed >= time || is_empty {
            break;
        }
        if reported.elapsed() >= REPORT {
            reported = Instant::now();
            report(closing);
        }
    }
    match closing.kind {
        // Also closes connections that are still being set up.
        ClosingKind::Stop => close_all(hub, reason).await,
        // Handshakes that began before the drain may have become connections since the total was taken.
        ClosingKind::Drain => close(hub, usize::MAX, reason).await,
        ClosingKind::Shed => {}
    }
    closing.is_over.store(true, Ordering::Relaxed);
    report(closing);
}

/// Returns the time over which `total` closes are spread that may take `time`.
fn spread(total: usize, time: Duration) -> Duration {
    time.min(GAP_MAX.saturating_mul(u32::try_from(total).unwrap_or(u32::MAX)))
}

/// Returns how many of `total` have to be closed once `passed` of `time` has passed.
fn due(total: usize, passed: Duration, time: Duration) -> usize {
    if passed >= time {
        return total;
    }
    let share = total as u128 * passed.as_nanos() / time.as_nanos().max(1);
    usize::try_from(share).unwrap_or(total)
}

/// Closes `count` connections, more on shards that have more.
async fn close(hub: &Hub<SocketSink>, count: usize, reason: CloseReason) {
    if count == 0 {
        return;
    }
    let mut open: Vec<usize> = hub.placement().taken_by_shard();
    for (shard, count) in shares(&mut open, count).into_iter().enumerate().filter(|(_, count)| *count > 0) {
        hub.inbox(shard).send(Command::CloseSome { count, reason }).await;
    }
}

/// Closes every connection, and those that connect later.
async fn close_all(hub: &Hub<SocketSink>, reason: CloseReason) {
    tell_all(hub, || Command::CloseAll { reason }).await;
}

/// Spreads `count` closes over shards with `open` connections each: one at a time, from the fullest.
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

/// Logs that balancers are told from now on.
pub(super) fn log_begin(closing: &Closing) {
    let (name, grace) = (closing.kind.name(), closing.pace.grace);
    if !grace.is_zero() {
        let grace = format_duration(grace);
        tracing::info!("{name} begins: /health/ready is 503, new connections are still served for {grace}");
    }
}

/// Logs that the closes begin. Each line stands alone in a log, so it names what it belongs to.
fn log_closes(closing: &Closing) {
    let (name, total, time) = (closing.kind.name(), closing.total(), closing.time());
    let pace = if time.is_zero() { "at once".to_owned() } else { format!("over {}", format_duration(time)) };
    match (closing.kind, total) {
        (ClosingKind::Shed, _) => tracing::info!(total, "{name} begins: connections are closed {pace}"),
        (ClosingKind::Stop | ClosingKind::Drain, 0) => tracing::info!("{name}: new connections get 503"),
        (ClosingKind::Stop | ClosingKind::Drain, _) => {
            tracing::info!(total, "{name}: new connections get 503, open ones are closed {pace}");
        }
    }
}

fn report(closing: &Closing) {
    let (name, closed, total) = (closing.kind.name(), closing.closed(), closing.total());
    match (closing.is_over(), total) {
        (true, 0) => tracing::info!("{name} ends: no connection was open"),
        (true, _) => tracing::info!(closed, total, "{name} ends: every connection was asked to close"),
        (false, _) => {
            let seconds_left = closing.time_left().as_secs();
            tracing::info!(closed, total, seconds_left, "{name} in progress");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second with many closes is a wave for the hubs that take over.
    #[test]
    fn every_tenth_of_the_time_closes_a_tenth() {
        let time = Duration::from_secs(10);
        let sums: Vec<_> = (0..=10).map(|second| due(2_000, Duration::from_secs(second), time)).collect();
        assert!(sums.windows(2).all(|pair| pair[1] - pair[0] == 200), "{sums:?}");
        assert_eq!((due(7, time, time), due(7, Duration::ZERO, Duration::ZERO)), (7, 7));
    }

    /// One connection of a quiet hub made a deploy wait for its whole drain time.
    #[test]
    fn gap_between_two_closes_is_bounded() {
        let time = Duration::from_secs(30);
        for (total, spread_over) in [(0, 0), (1, 1), (2, 2), (29, 29), (30, 30), (31, 30), (100_000, 30)] {
            assert_eq!(spread(total, time), Duration::from_secs(spread_over), "{total}");
        }
        assert_eq!(spread(usize::MAX, time), time);
        assert_eq!(spread(7, Duration::from_millis(200)), Duration::from_millis(200));
        let two = spread(2, time);
        let dues: Vec<_> = (0..=2).map(|second| due(2, Duration::from_secs(second), two)).collect();
        assert_eq!(dues, [0, 1, 2]);
    }

    #[test]
    fn fuller_shards_close_more_and_none_more_than_it_has() {
        assert_eq!(shares(&mut [10, 4, 0], 8), [7, 1, 0]);
        assert_eq!(shares(&mut [1, 2], usize::MAX), [1, 2]);
    }
}
