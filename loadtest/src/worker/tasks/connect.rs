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
    introduce_backend(engine)?;
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

/// Connects to the API, if this worker publishes through it, so that a wrong key ends the run before any client waits.
fn introduce_backend(engine: &mut Engine) -> Result<()> {
    let publishers = engine.tally.audience.publishers();
    let is_own = |publisher| engine.publisher.client_of(publisher, &engine.tally.audience).is_some();
    let is_used = (0..publishers).any(is_own);
    let Some(backend) = engine.publisher.backend.as_mut().filter(|_| is_used) else { return Ok(()) };
    backend.introduce()?;
    let until = now_ns() + nanos(HANDSHAKE_TIMEOUT);
    while engine.publisher.is_busy() && !engine.requests.is_interrupted() {
        if now_ns() > until {
            let url = engine.config.api.as_ref().map(|api| api.url.to_string()).unwrap_or_default();
            return Err(RunError::Unreachable(format!("{url} gave no answer for {HANDSHAKE_TIMEOUT:?}")).into());
        }
        engine.turn(until)?;
    }
    Ok(())
}
