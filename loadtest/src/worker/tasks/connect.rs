//! Connecting: opens connections at a steady rate.

use crate::clock::{nanos, now_ns, seconds};
use crate::exit::RunError;
use crate::worker::client::HANDSHAKE_TIMEOUT;
use crate::worker::engine::Engine;
use crate::worker::messages::Connected;
use crate::worker::validators::Validators;
use anyhow::Result;
use std::time::Duration;

/// Connections that may be in their handshake at a time. Servers' accept queues hold 128 at least.
const CONNECTING_MAX: usize = 128;

/// Opens connections until this worker has its share of `total`, `rate` per second.
///
/// # Errors
///
/// Fails when the server cannot be reached or refuses a handshake.
pub(crate) fn run(engine: &mut Engine, total: usize, rate: f64) -> Result<Connected> {
    if engine.config.validators > 0 && engine.share.index == 0 && engine.validators.is_none() {
        engine.validators = Some(Validators::connect(&engine.config)?);
    }
    let total = engine.share.count(total);
    let start = now_ns();
    let already = engine.pool.len();
    engine.connector.handshake.reset();
    let (mut last_completed, mut progress_ns) = (already, start);
    while (engine.pool.len() < total || engine.pool.connecting() > 0) && !engine.requests.is_interrupted() {
        let now = now_ns();
        let allowed = seconds(start, now) * rate;
        while engine.pool.len() < total
            && engine.pool.connecting() < CONNECTING_MAX
            && (engine.pool.len() - already) as f64 <= allowed
        {
            let index = engine.pool.add();
            engine.connector.connect(&mut engine.pool, index)?;
        }
        engine.turn(now + nanos(Duration::from_millis(1)))?;
        // Only completed handshakes are progress: sockets are created whether the server answers or not.
        let completed = engine.pool.len() - engine.pool.connecting();
        if completed > last_completed || engine.pool.connecting() == 0 {
            (last_completed, progress_ns) = (completed, now);
        } else if now.saturating_sub(progress_ns) > nanos(HANDSHAKE_TIMEOUT) {
            let (url, open) = (&engine.config.url, engine.pool.open());
            let text = format!(
                "{url} completed no handshake for {HANDSHAKE_TIMEOUT:?}, {open} of {total} connections are open; see \
                 the server's log"
            );
            return Err(RunError::Unreachable(text).into());
        }
    }
    let handshake = engine.connector.handshake.buckets();
    Ok(Connected { opened: engine.pool.len() - already, handshake })
}
