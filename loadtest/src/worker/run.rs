//! A worker's run: takes requests one by one and answers each.

use super::engine::Engine;
use super::link;
use super::messages::{Event, Request, Tick};
use super::tasks::{connect, drain, load, received, stall, storm};
use crate::exit::RunError;
use crate::signals;
use anyhow::Result;
use std::sync::Arc;

/// Works until the coordinator closes the link, and returns the exit code.
///
/// # Errors
///
/// Fails when this process was not started by a coordinator.
pub(crate) fn run() -> Result<u8> {
    // A terminal signals the whole group of processes, a supervisor too; only the coordinator acts on it.
    for signal in signals::to_handle() {
        signal_hook::flag::register(signal, Arc::default())?;
    }
    let mut engine = Engine::new(link::job()?)?;
    if let Err(error) = serve(&mut engine) {
        let error = error.downcast_ref::<RunError>().cloned().unwrap_or_else(|| RunError::Broken(format!("{error:#}")));
        // If even this fails, the coordinator is gone.
        drop(engine.requests.answer(&Event::Failed(error)));
        // What the clients received until now still counts.
        drop(serve_after_failure(&mut engine));
    }
    Ok(0)
}

fn serve(engine: &mut Engine) -> Result<()> {
    loop {
        let request = loop {
            match engine.requests.pop() {
                Some(request) => break request,
                None => engine.turn(u64::MAX)?,
            }
        };
        let answer = carry_out(engine, request)?;
        engine.requests.answer(&answer)?;
    }
}

/// Answers questions about the past only. All other requests were answered by the failure.
fn serve_after_failure(engine: &mut Engine) -> Result<()> {
    loop {
        while let Some(request) = engine.requests.pop() {
            let answer = match request {
                Request::Received => Event::Received(received::received(engine)),
                Request::Missing { sent } => Event::Missing(received::missing(engine, &sent)),
                _ => continue,
            };
            engine.requests.answer(&answer)?;
        }
        engine.requests.take()?;
        if engine.requests.is_empty() {
            engine.wait_for_request()?;
        }
    }
}

fn carry_out(engine: &mut Engine, request: Request) -> Result<Event> {
    Ok(match request {
        Request::Connect { total, rate } => Event::Connected(connect::run(engine, total, rate)?),
        Request::Load(timed) => Event::Loaded(load::run(engine, &timed)?),
        Request::Drain { sent, patience_ns } => Event::Drained(drain::run(engine, &sent, patience_ns)?),
        Request::Stall => Event::Stalled(stall::stall(engine)),
        Request::ReadOut { patience_ns } => Event::ReadOut(stall::read_out(engine, patience_ns)?),
        Request::Leave => Event::Left(storm::leave(engine)?),
        Request::Storm { at_ns, jitter_ns, give_up_ns } => {
            Event::Returned(storm::run(engine, at_ns, jitter_ns, give_up_ns)?)
        }
        Request::Received => Event::Received(received::received(engine)),
        Request::Missing { sent } => Event::Missing(received::missing(engine, &sent)),
        // It is never queued, see `Requests::take`.
        Request::Interrupt => Event::Tick(Tick::default()),
    })
}
