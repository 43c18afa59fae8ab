//! Storms: cut connections at once and reconnect them.

use crate::clock::{nanos, now_ns, seconds};
use crate::exit::RunError;
use crate::observe::host::thread_time;
use crate::worker::client::State;
use crate::worker::engine::Engine;
use crate::worker::messages::Returned;
use crate::worker::pool::Pool;
use anyhow::Result;
use rand::Rng;
use std::time::Duration;

/// Time between two looks at who is back.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Cuts all connections at `at_ns`, spreads the first attempts over `jitter_ns`, and waits until all clients are back
/// or the clock says `give_up_ns`.
///
/// # Errors
///
/// Fails when the server breaks the protocol.
pub(crate) fn run(engine: &mut Engine, at_ns: u64, jitter_ns: u64, give_up_ns: u64) -> Result<Returned> {
    engine.run_until(at_ns)?;
    let (start_ns, own) = (now_ns(), thread_time());
    engine.connector.retries.begin_storm(now_ns());
    let mut rng = rand::rng();
    let mut wanted = 0;
    for index in 0..engine.pool.len() {
        if engine.pool[index].is_open() {
            cut(&mut engine.pool, index);
            wanted += 1;
            engine.connector.retries.schedule(index, at_ns + rng.random_range(0..=jitter_ns));
        }
    }
    while engine.connector.retries.returned() < wanted && now_ns() < give_up_ns && !engine.requests.is_interrupted() {
        engine.turn(now_ns() + nanos(LOOK_EVERY))?;
    }
    let waiting_share = seconds(own.wait_ns, thread_time().wait_ns) / seconds(start_ns, now_ns()).max(1e-9);
    Ok(Returned { waiting_share, ..end(engine, wanted)? })
}

/// Cuts the clients that are configured to leave, and returns how many these are in this worker.
///
/// # Errors
///
/// Fails when one has no position to return to.
pub(crate) fn leave(engine: &mut Engine) -> Result<usize> {
    let first = engine.share.count(engine.config.connections() - engine.config.load.leavers());
    for index in first..engine.pool.len() {
        if engine.tally.positions.of(index).is_none() {
            let text = "the channel keeps no history, so nothing that is missed can be recovered; throng keeps one with \
                        --history-size 300";
            return Err(RunError::Refused(format!("{}: {text}", engine.config.url)).into());
        }
        if engine.pool[index].is_open() {
            cut(&mut engine.pool, index);
        }
    }
    Ok(engine.pool.len() - first)
}

/// Lets the clients that left return at random moments between `from_ns` and `return_ns` later.
pub(crate) fn begin_return(engine: &mut Engine, from_ns: u64, return_ns: u64) {
    engine.connector.retries.begin_storm(from_ns);
    let mut rng = rand::rng();
    for index in 0..engine.pool.len() {
        if matches!(engine.pool[index].state, State::Waiting) {
            engine.connector.retries.schedule(index, from_ns + rng.random_range(0..=return_ns));
        }
    }
}

/// Waits until the clients that left are back, or the clock says `give_up_ns`.
///
/// # Errors
///
/// As [`Engine::turn`].
pub(crate) fn finish_return(engine: &mut Engine, wanted: u64, give_up_ns: u64) -> Result<Returned> {
    while engine.connector.retries.returned() < wanted && now_ns() < give_up_ns && !engine.requests.is_interrupted() {
        engine.turn(now_ns() + nanos(LOOK_EVERY))?;
    }
    end(engine, wanted)
}

fn end(engine: &mut Engine, wanted: u64) -> Result<Returned> {
    let (returns, attempts) = engine.connector.retries.end_storm();
    engine.pool.abandon_attempts();
    Ok(Returned { returns: returns.buckets(), attempts, clients: usize::try_from(wanted)?, waiting_share: 0.0 })
}

/// Ends a connection without a close frame, as a failing balancer does. A reset leaves no port in TIME_WAIT, of which
/// a storm would soon have too many.
fn cut(pool: &mut Pool, index: usize) {
    if let Some(stream) = &pool[index].stream {
        // If the socket is gone already, the connection is cut as well.
        drop(socket2::SockRef::from(stream.socket()).set_linger(Some(Duration::ZERO)));
    }
    pool.close(index, State::Waiting);
}
