//! Draining: reads on until nothing is missing.

use super::received::missing;
use crate::clock::{nanos, now_ns};
use crate::worker::engine::Engine;
use crate::worker::messages::Drained;
use anyhow::Result;
use std::time::Duration;

/// Reading goes on this long after everything has come: a duplicate of the last message would come now.
const AFTERMATH: Duration = Duration::from_millis(100);

/// Time between two counts of what is missing; with 2,000 publishers that is 4 million comparisons.
const COUNT_EVERY: Duration = Duration::from_millis(20);

/// How long a drain may take once it was interrupted.
const INTERRUPTED_MAX: Duration = Duration::from_secs(1);

/// Reads until everything of `sent` has come, at most for `patience_ns`, and a moment longer.
///
/// # Errors
///
/// As [`Engine::turn`].
pub(crate) fn run(engine: &mut Engine, sent: &[u32], patience_ns: u64) -> Result<Drained> {
    engine.publisher.sent.copy_from_slice(sent);
    let start = now_ns();
    let mut until = start;
    loop {
        let is_interrupted = engine.requests.is_interrupted();
        let limit = if is_interrupted { patience_ns.min(nanos(INTERRUPTED_MAX)) } else { patience_ns };
        if until >= start + limit || missing(engine, sent).open == 0 {
            break;
        }
        until += nanos(COUNT_EVERY);
        while now_ns() < until {
            engine.turn(until)?;
        }
    }
    let end = now_ns() + nanos(AFTERMATH);
    while now_ns() < end {
        engine.turn(end)?;
    }
    engine.publisher.is_quiet = true;
    let lost = engine.tally.counts.lost + missing(engine, sent).open;
    let (first_us, last_us) = engine.tally.spread.take();
    Ok(Drained {
        latency: engine.tally.latency.buckets(),
        first_us,
        last_us,
        lost,
        closed: engine.closes.len(),
        open: engine.pool.open(),
    })
}
