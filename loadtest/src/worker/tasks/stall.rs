//! Stalling: stops reading some clients, and reads them to their ends later.

use crate::clock::now_ns;
use crate::measure::CloseCount;
use crate::worker::client::State;
use crate::worker::engine::Engine;
use anyhow::Result;
use std::collections::HashSet;
use std::net::SocketAddr;

/// Stops reading the last clients of the run, as far as they are open. Returns their numbers and their own addresses.
pub(crate) fn stall(engine: &mut Engine) -> Vec<(usize, SocketAddr)> {
    let first = engine.share.count(engine.config.connections() - engine.config.load.stalled());
    let mut stalled = Vec::new();
    for (index, client) in engine.pool.iter_mut().enumerate().skip(first) {
        if let (true, Some(stream)) = (client.is_open(), &client.stream)
            && let Ok(address) = stream.socket().local_addr()
        {
            stalled.push((engine.share.global(index), address));
            client.state = State::Stalled;
        }
    }
    stalled
}

/// Reads the stalled clients to their ends, without counting what they missed. Returns how the server closed them.
///
/// # Errors
///
/// As [`Engine::turn`].
pub(crate) fn read_out(engine: &mut Engine, patience_ns: u64) -> Result<Vec<CloseCount>> {
    let is_stalled = |index: &usize| matches!(engine.pool[*index].state, State::Stalled);
    let stalled: Vec<_> = (0..engine.pool.len()).filter(is_stalled).collect();
    for &index in &stalled {
        engine.pool[index].state = State::Open;
        // Their edges are long past, so each is read until it is empty now.
        engine.read(index, true)?;
    }
    let end = now_ns() + patience_ns;
    while now_ns() < end && stalled.iter().any(|index| engine.pool[*index].is_open()) {
        engine.turn(end)?;
    }
    let stalled: HashSet<_> = stalled.into_iter().map(|index| engine.share.global(index)).collect();
    Ok(engine.closes.counts(|client| stalled.contains(&client)))
}
