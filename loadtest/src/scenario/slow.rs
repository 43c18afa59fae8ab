//! Slow: what receivers that stop reading cost the others, and the server.
//!
//! A calm phase in which everybody reads, then a phase of the same length in which the last ones do not. Latency is
//! that of the same healthy receivers in both. After that the stalled ones are read to their end, to see how the server
//! parted with them.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::{accounting, connect_all};
use crate::client::State;
use crate::clock::nanos;
use crate::closes::CloseCount;
use crate::engine::Engine;
use crate::phase::{Load, Phase};
use crate::report::Findings;

/// How long the stalled connections are read afterwards; a few MB each over loopback take far less.
const READ_OUT: Duration = Duration::from_secs(3);

/// The figures.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Slow {
    pub(crate) stalled: usize,
    /// Stalled ones that the server had ended when the phase was over.
    pub(crate) ended: usize,
    /// Seconds from the stall until the server let go of its end, sorted; a reset is seen at once, a FIN
    /// behind unread data within 2.5 s.
    pub(crate) ended_after_seconds: Vec<f64>,
    /// What the stalled ones found when they were read out at last.
    pub(crate) closes: Vec<CloseCount>,
    /// Stalled over calm, of the healthy receivers' latency.
    pub(crate) p50_ratio: f64,
    pub(crate) p99_ratio: f64,
    /// Peak while stalled, less what it was before, by stalled receiver.
    pub(crate) server_rss_per_stalled: f64,
    pub(crate) kernel_tcp_per_stalled: f64,
}

/// Runs both phases.
pub(super) fn run(engine: &mut Engine) -> Result<Findings> {
    let connections = connect_all(engine)?;
    let load = Load::Rate(engine.config.rate);
    let calm = engine.measure("calm", load, engine.config.warmup)?;
    if engine.is_interrupted() {
        let closes = engine.closes.counts(|_| true);
        return Ok(Findings { phases: vec![calm], ..Findings::new(connections, accounting(engine), closes) });
    }
    let chosen = stall(engine);
    let stalled = engine.measure("stalled", load, Duration::ZERO)?;
    let accounting = accounting(engine);
    engine.stalls.look(engine.clock.now_ns());
    let ended_after_seconds = engine.stalls.seconds();
    read_out(engine, &chosen)?;

    let slow = Slow {
        stalled: chosen.len(),
        ended: ended_after_seconds.len(),
        ended_after_seconds,
        closes: engine.closes.counts(|client| chosen.contains(&client)),
        p50_ratio: ratio(calm.latency.p50_us, stalled.latency.p50_us),
        p99_ratio: ratio(calm.latency.p99_us, stalled.latency.p99_us),
        server_rss_per_stalled: growth(stalled.memory_before.server_rss, stalled.server_rss_peak, chosen.len()),
        kernel_tcp_per_stalled: growth(stalled.memory_before.kernel_tcp, stalled.kernel_tcp_peak, chosen.len()),
    };
    let closes = engine.closes.counts(|client| !chosen.contains(&client));
    let phases: Vec<Phase> = vec![calm, stalled];
    Ok(Findings { phases, slow: Some(slow), ..Findings::new(connections, accounting, closes) })
}

fn ratio(calm: u64, stalled: u64) -> f64 {
    stalled as f64 / calm.max(1) as f64
}

fn growth(before: u64, peak: u64, clients: usize) -> f64 {
    (peak as f64 - before as f64) / clients.max(1) as f64
}

/// Stops reading the last clients, as far as they are open, and returns which.
fn stall(engine: &mut Engine) -> HashSet<usize> {
    let first = engine.clients.len() - engine.config.stalled();
    let mut standing = HashMap::new();
    for (index, client) in engine.clients.iter_mut().enumerate().skip(first) {
        if let (true, Some(stream)) = (client.is_open(), &client.stream)
            && let Ok(address) = stream.local_addr()
        {
            standing.insert(address, index);
            client.state = State::Stalled;
        }
    }
    let chosen = standing.values().copied().collect();
    engine.stalls.begin(engine.clock.now_ns(), engine.config.url.address.port(), standing);
    chosen
}

/// Reads the stalled clients to their ends, without judging what they missed.
fn read_out(engine: &mut Engine, chosen: &HashSet<usize>) -> Result<()> {
    for &index in chosen {
        engine.clients[index].state = State::Open;
        engine.read(index, true)?;
    }
    let end = engine.clock.now_ns() + nanos(READ_OUT);
    while engine.clock.now_ns() < end && chosen.iter().any(|index| engine.clients[*index].is_open()) {
        engine.turn(end)?;
    }
    Ok(())
}
