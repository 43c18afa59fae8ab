//! A watchdog: sees that the process, or a shard, did not run for a while, and says so.
//!
//! Nothing is done about it. Deadlines already do not count what a pause took (`hub/shard/clock.rs`); but who looks for
//! the reason of a bad minute has to find it.

use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::net::socket::SocketSink;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// What is worth a word: longer than any pass, and than what a busy machine takes away.
const PAUSE: Duration = Duration::from_secs(1);

/// What a shard had done at a look, and whether work waited for it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Seen {
    passes: u64,
    has_work: bool,
    looks_without_pass: u32,
}

impl Seen {
    /// Takes in what the next look sees; returns whether the shard has stood still for long enough, the first time.
    fn note(&mut self, passes: u64, has_work: bool) -> bool {
        let stands = has_work && self.has_work && passes == self.passes;
        let looks_without_pass = if stands { self.looks_without_pass + 1 } else { 0 };
        *self = Self { passes, has_work, looks_without_pass };
        LOOK * looks_without_pass == PAUSE
    }
}

/// Looks for ever.
pub(crate) async fn watch(hub: &Hub<SocketSink>) {
    let mut shards = vec![Seen::default(); hub.shards()];
    loop {
        let start = Instant::now();
        sleep(LOOK).await;
        let late = start.elapsed().saturating_sub(LOOK);
        if late >= PAUSE {
            Metrics::count(&hub.metrics().pauses);
            tracing::warn!(seconds = late.as_secs_f64(), "the process did not run: it was stopped, or starved");
            // Of course no shard made a pass.
            shards.fill(Seen::default());
            continue;
        }
        for (shard, seen) in shards.iter_mut().enumerate() {
            let passes = hub.metrics().shards()[shard].read().passes;
            if seen.note(passes, hub.inbox(shard).depth() > 0) {
                Metrics::count(&hub.metrics().shard_stalls);
                tracing::error!(shard, "a shard has work and does not do it: is a thread stuck?");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shard that works, or has nothing to do, is not reported; one that stands still is, once.
    #[test]
    fn shard_that_has_work_and_makes_no_pass_is_seen_once() {
        let mut seen = Seen::default();
        let looks =
            [(1, true), (2, true), (2, false), (2, true), (2, true), (2, true), (2, true), (3, true), (3, true)];
        let reports: Vec<_> = looks.into_iter().map(|(passes, has_work)| seen.note(passes, has_work)).collect();
        assert_eq!(reports, [false, false, false, false, false, true, false, false, false]);
        assert!(seen.note(3, true), "and again when it stands still anew");
    }
}
