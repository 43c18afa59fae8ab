//! The watchdog: reports that the process, or a shard, did not run for a while.
//!
//! It only reports. Deadlines exclude pauses already (`hub/shard/clock.rs`), but an operator who searches for the cause
//! of an incident has to find it.

use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::net::socket::SocketSink;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Time between two checks.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// Pause that is reported: longer than any pass, and than a task waits for a busy machine.
const PAUSE_MIN: Duration = Duration::from_secs(1);

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
        // It counts as stalled only if work was there at both checks: with an empty inbox, no pass is right.
        let is_stalled = has_work && self.has_work && passes == self.passes;
        let checks_without_pass = if is_stalled { self.checks_without_pass + 1 } else { 0 };
        *self = Self { passes, has_work, checks_without_pass };
        CHECK_INTERVAL * checks_without_pass == PAUSE_MIN
    }
}

/// Checks the process and its shards, for ever.
pub(crate) async fn watch(hub: &Hub<SocketSink>) {
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
        assert!(progress.update(3, true), "and again when it stalls again");
    }
}
