//! The watchdog: reports that the process, or a shard, did not run for a while.
//!
//! It only reports, to the log and to a supervisor that asks for it. Deadlines exclude pauses already
//! (`hub/shard/clock.rs`), but an operator who searches for the cause of an incident has to find it.

use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::net::socket::SocketSink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Time between two checks.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// Pause that is reported: longer than any pass, and than a task waits for a busy machine.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// What the last check found.
#[derive(Debug, Default)]
pub(crate) struct Watchdog {
    is_stalled: AtomicBool,
}

/// A shard as of the last check.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct ShardProgress {
    passes: u64,
    has_work: bool,
    checks_without_pass: u32,
}

impl ShardProgress {
    /// Takes in a check. Returns whether the shard has stalled for [`PAUSE_MIN`] now: once per stall.
    fn update(&mut self, passes: u64, has_work: bool) -> bool {
        let was_stalled = self.is_stalled();
        // It counts as stalled only if work was there at both checks: with an empty inbox, no pass is right.
        let is_stalled = has_work && self.has_work && passes == self.passes;
        let checks_without_pass = if is_stalled { self.checks_without_pass + 1 } else { 0 };
        *self = Self { passes, has_work, checks_without_pass };
        self.is_stalled() && !was_stalled
    }

    /// Returns whether the shard has made no pass for [`PAUSE_MIN`] although it had work.
    fn is_stalled(&self) -> bool {
        CHECK_INTERVAL * self.checks_without_pass >= PAUSE_MIN
    }
}

impl Watchdog {
    /// Returns whether a shard has work and makes no pass. Its connections get nothing then.
    pub(crate) fn is_stalled(&self) -> bool {
        // Relaxed: it stands for itself.
        self.is_stalled.load(Ordering::Relaxed)
    }

    /// Checks the process and its shards, for ever.
    pub(crate) async fn watch(&self, hub: &Hub<SocketSink>) {
        let mut shards = vec![ShardProgress::default(); hub.shards()];
        loop {
            let start = Instant::now();
            sleep(CHECK_INTERVAL).await;
            let late = start.elapsed().saturating_sub(CHECK_INTERVAL);
            if late >= PAUSE_MIN {
                Metrics::count(&hub.metrics().process.pauses);
                tracing::warn!(seconds = late.as_secs_f64(), "the process did not run: it was stopped, or had no CPU");
                // The shards did not run either, which is reported already.
                shards.fill(ShardProgress::default());
                continue;
            }
            for (shard, progress) in shards.iter_mut().enumerate() {
                let passes = hub.metrics().shards()[shard].read().passes;
                if progress.update(passes, hub.inbox(shard).depth() > 0) {
                    Metrics::count(&hub.metrics().process.shard_stalls);
                    tracing::error!(shard, "a shard has work and makes no pass: is a thread blocked?");
                }
            }
            self.is_stalled.store(shards.iter().any(ShardProgress::is_stalled), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shard that makes passes, or has no work, is not reported; one that is stalled is, once.
    #[test]
    fn shard_that_has_work_and_makes_no_pass_is_seen_once() {
        let mut progress = ShardProgress::default();
        let checks =
            [(1, true), (2, true), (2, false), (2, true), (2, true), (2, true), (2, true), (3, true), (3, true)];
        let reports: Vec<_> = checks.into_iter().map(|(passes, has_work)| progress.update(passes, has_work)).collect();
        assert_eq!(reports, [false, false, false, false, false, true, false, false, false]);
        assert!(!progress.is_stalled(), "a pass ends it");
        assert!(progress.update(3, true), "and again when it stalls again");
    }
}
