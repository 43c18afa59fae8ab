//! All counters of a hub.

use super::api::ApiCounters;
use super::cluster::ClusterCounters;
use super::hooks::HookCounters;
use super::process::ProcessCounters;
use super::refusal::Refusal;
use super::shard::ShardCounters;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// All counters of a hub, and when they began.
#[derive(Debug)]
pub struct Metrics {
    started: Instant,
    /// The same in microseconds since 1970.
    started_at: u64,
    shards: Box<[Arc<ShardCounters>]>,
    /// The counters of the process.
    pub process: ProcessCounters,
    /// The counters of the HTTP API.
    pub api: ApiCounters,
    /// The counters of questions to the application.
    pub hooks: HookCounters,
    /// The counters of a hub in a cluster.
    pub cluster: ClusterCounters,
}

impl Metrics {
    /// Returns the counters of a hub with this number of shards.
    pub fn new(shards: usize) -> Self {
        Self {
            started: Instant::now(),
            started_at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, micros),
            shards: (0..shards).map(|_| Arc::default()).collect(),
            process: ProcessCounters::default(),
            api: ApiCounters::default(),
            hooks: HookCounters::default(),
            cluster: ClusterCounters::default(),
        }
    }

    /// Returns when the hub started. Times of the hub are measured from then.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Returns the time of day `since_start`, in microseconds since 1970. It goes on evenly when the clock of the
    /// machine is set.
    pub fn time_of_day(&self, since_start: Duration) -> u64 {
        self.started_at + micros(since_start)
    }

    /// Returns the counters of each shard.
    pub fn shards(&self) -> &[Arc<ShardCounters>] {
        &self.shards
    }

    /// Counts a refused connection.
    pub fn refuse(&self, reason: Refusal) {
        Self::count(&self.process.refusals[reason as usize]);
    }

    /// Returns the number of connections refused for a reason.
    pub fn refused(&self, reason: Refusal) -> u64 {
        // Relaxed: the number stands for itself.
        self.process.refusals[reason as usize].load(Ordering::Relaxed)
    }

    /// Returns the time of day now, in the same way.
    pub fn now(&self) -> u64 {
        self.time_of_day(self.started.elapsed())
    }

    /// Adds one to a counter.
    pub fn count(counter: &AtomicU64) {
        Self::add(counter, 1);
    }

    /// Adds to a counter.
    pub fn add(counter: &AtomicU64, more: u64) {
        // Relaxed: the number stands for itself.
        counter.fetch_add(more, Ordering::Relaxed);
    }

    /// Replaces the part of one owner in a gauge that sums over many.
    pub fn change(sum: &AtomicU64, before: usize, now: usize) {
        if now != before {
            // Relaxed: the number stands for itself. A difference below zero wraps, and so does the sum: back.
            sum.fetch_add((now as u64).wrapping_sub(before as u64), Ordering::Relaxed);
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
