//! Loading: publishes, and measures from the moment the window opens to its end.

use super::storm;
use crate::clock::now_ns;
use crate::observe::host::thread_time;
use crate::worker::arrivals::Arrivals;
use crate::worker::backend::Backend;
use crate::worker::client::State;
use crate::worker::engine::Engine;
use crate::worker::messages::{Drive, Edge, Loaded, TimedLoad};
use crate::worker::spread::Spread;
use anyhow::Result;

/// Applies a load.
///
/// # Errors
///
/// As [`Engine::turn`].
pub(crate) fn run(engine: &mut Engine, load: &TimedLoad) -> Result<Loaded> {
    engine.publisher.begin(load, &engine.tally.audience);
    engine.tally.timed_from_ns = load.open_ns;
    engine.tally.latency.reset();
    engine.ticker.reset();
    let is_followed = engine.tally.audience.has_turns() && !matches!(load.drive, Drive::Window(_));
    // All workers have the same numbers here, so that they mean the same message by the same index.
    engine.tally.spread = if is_followed { Spread::follow(engine.publisher.sent.clone()) } else { Spread::default() };
    begin_arrivals(engine, load);
    let away = engine.pool.iter().filter(|client| matches!(client.state, State::Waiting)).count() as u64;
    if load.return_ns > 0 {
        storm::begin_return(engine, load.open_ns, load.return_ns);
    }
    engine.run_until(load.open_ns)?;
    engine.publisher.backend.iter_mut().for_each(Backend::reset);
    let before = edge(engine);
    engine.run_until(load.end_ns)?;
    let after = edge(engine);
    // Attempts in progress may still fail without harm: retries stay on.
    let arrivals = std::mem::take(&mut engine.arrivals).count;
    let arrival_handshake = engine.connector.handshake.buckets();
    let api = engine.publisher.backend.as_ref().map(Backend::figures);
    finish_sending(engine, load)?;
    let give_up_ns = load.end_ns + load.patience_ns;
    let returned = (load.return_ns > 0).then(|| storm::finish_return(engine, away, give_up_ns)).transpose()?;
    let mut lateness = engine.publisher.lateness.buckets();
    lateness.extend(engine.publisher.backend.iter().flat_map(|backend| backend.lateness.buckets()));
    Ok(Loaded {
        before,
        after,
        sent: engine.publisher.own_sent(&engine.tally.audience),
        lateness,
        arrivals,
        arrival_handshake,
        api,
        returned,
        recoveries: engine.tally.positions.recoveries,
    })
}

/// Lets clients come and go, if the load says so.
fn begin_arrivals(engine: &mut Engine, load: &TimedLoad) {
    let churners = engine.config.load.churners();
    // This worker's first client among the last ones of the run.
    let first = engine.share.count(engine.config.connections() - churners);
    let own = engine.pool.len().saturating_sub(first);
    let rate = load.churn_rate * own as f64 / churners.max(1) as f64;
    engine.arrivals = Arrivals::new(rate, first, load.start_ns, load.end_ns);
    engine.connector.handshake.reset();
    engine.connector.retries.switch(rate > 0.0);
}

/// Sends what was due in the last instant, and what a full socket or the API held back; a closed loop just ends.
fn finish_sending(engine: &mut Engine, load: &TimedLoad) -> Result<()> {
    let give_up = load.end_ns + load.patience_ns;
    if matches!(load.drive, Drive::Window(_)) {
        engine.publisher.end();
    }
    while engine.publisher.is_busy() && now_ns() < give_up && !engine.requests.is_interrupted() {
        engine.turn(give_up)?;
    }
    engine.publisher.end();
    engine.publisher.give_up();
    Ok(())
}

fn edge(engine: &Engine) -> Edge {
    let sent = engine.publisher.sent_total(&engine.tally.audience);
    Edge { at_ns: now_ns(), sent, verified: engine.tally.counts.verified, own: thread_time() }
}
