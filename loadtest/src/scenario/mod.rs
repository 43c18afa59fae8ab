//! The scenarios: each asks one question and fills its part of the report.

mod idle;
mod slow;

use anyhow::Result;

use crate::cli::Scenario;
use crate::engine::Engine;
use crate::phase::Load;
use crate::report::{Accounting, Connections, Findings};

pub(crate) use idle::Idle;
pub(crate) use slow::Slow;

/// Runs the scenario that the configuration asks for.
///
/// # Errors
///
/// Fails when the server can not be reached, refuses, or breaks the protocol.
pub(crate) fn run(engine: &mut Engine) -> Result<Findings> {
    let config = engine.config.clone();
    match config.scenario {
        Scenario::Idle => idle::run(engine),
        Scenario::Fanout => steady(engine, Load::Rate(config.rate)),
        Scenario::Saturate => steady(engine, Load::Window(u32::try_from(config.window)?)),
        Scenario::Chat => steady(engine, Load::Rate(config.rate * config.clients as f64)),
        Scenario::Slow => slow::run(engine),
    }
}

/// Connects everybody and applies one load.
fn steady(engine: &mut Engine, load: Load) -> Result<Findings> {
    let connections = connect_all(engine)?;
    let phase = engine.measure("measure", load, engine.config.warmup)?;
    Ok(Findings {
        phases: vec![phase],
        ..Findings::new(connections, accounting(engine), engine.closes.counts(|_| true))
    })
}

/// Connects everybody, and charges the server for it.
fn connect_all(engine: &mut Engine) -> Result<Connections> {
    engine.progress.stage("connect");
    let (before, already) = (engine.watch.moment(), engine.opened);
    let took = engine.connect_to(engine.config.connections())?;
    let after = engine.watch.moment();
    Ok(Connections::new(engine.opened, engine.opened - already, took, &before, &after))
}

/// Closes the books.
fn accounting(engine: &mut Engine) -> Accounting {
    let unaccepted = write_off(engine);
    let (undelivered, undelivered_closed) = (engine.missing(true), engine.missing(false));
    let mut counts = engine.tally.counts;
    let expected = counts.verified + counts.lost + undelivered + undelivered_closed;
    counts.lost += undelivered;
    let first_stranger = engine.tally.first_stranger.clone();
    Accounting { expected, counts, undelivered_closed, unaccepted, first_stranger }
}

/// Writes off what the server had not read from a publisher when it closed it: those messages reached nobody and are
/// not lost deliveries. Returns how many there were.
fn write_off(engine: &mut Engine) -> u64 {
    let mut unaccepted = 0;
    for publisher in 0..engine.sent.len() {
        if !engine.clients[publisher].is_open() {
            let reached = (0..engine.clients.len()).map(|client| engine.tally.row(client)[publisher]).max();
            let reached = reached.unwrap_or_default();
            unaccepted += u64::from(engine.sent[publisher] - reached);
            engine.sent[publisher] = reached;
        }
    }
    unaccepted
}
