//! Idle: what a connection costs while nothing happens.
//!
//! The price is the slope between two numbers of connections, so that what the server needs without any is not divided
//! among them.

use anyhow::Result;
use serde::Serialize;

use super::{accounting, connect_all};
use crate::clock::{nanos, seconds};
use crate::engine::Engine;
use crate::host::own_rss_bytes;
use crate::report::Findings;
use crate::stop::Stop;
use crate::watch::Memory;

/// The figures.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Idle {
    pub(crate) connections_low: usize,
    pub(crate) connections_high: usize,
    pub(crate) memory_low: Memory,
    pub(crate) memory_high: Memory,
    pub(crate) server_rss_per_connection: f64,
    pub(crate) server_pss_per_connection: f64,
    /// Both ends of the connection live on this machine; about half of it is the server's. Other work on the machine
    /// counts too.
    pub(crate) kernel_slab_per_connection: f64,
    pub(crate) generator_rss_per_connection: f64,
    pub(crate) held_seconds: f64,
    /// CPU time of the server while it was held, of one core.
    pub(crate) server_cpu_share: f64,
    pub(crate) server_rss_at_end: u64,
}

/// Connects in two steps, rests before each measurement, and holds.
pub(super) fn run(engine: &mut Engine) -> Result<Findings> {
    let (low, high) = (engine.config.clients_low, engine.config.clients);
    engine.progress.stage("connect");
    engine.connect_to(low)?;
    let (memory_low, own_low) = settle(engine)?;
    let connections = connect_all(engine)?;
    let (memory_high, own_high) = settle(engine)?;
    engine.progress.stage("hold");
    let before = engine.watch.moment();
    let start = engine.clock.now_ns();
    engine.run_until(start + nanos(engine.config.duration))?;
    let held_seconds = seconds(start, engine.clock.now_ns());
    let used = before.server.zip(engine.watch.moment().server);
    let slope = |low_bytes: u64, high_bytes: u64| (high_bytes as f64 - low_bytes as f64) / (high - low) as f64;
    let idle = Idle {
        connections_low: low,
        connections_high: high,
        server_rss_per_connection: slope(memory_low.server_rss, memory_high.server_rss),
        server_pss_per_connection: slope(memory_low.server_pss, memory_high.server_pss),
        kernel_slab_per_connection: slope(memory_low.kernel_slab, memory_high.kernel_slab),
        generator_rss_per_connection: slope(own_low, own_high),
        memory_low,
        memory_high,
        held_seconds,
        server_cpu_share: used.map_or(0.0, |(from, to)| seconds(from.total_ns, to.total_ns)) / held_seconds.max(1e-9),
        server_rss_at_end: engine.watch.rss(),
    };
    let findings = Findings::new(connections, accounting(engine), engine.closes.counts(|_| true));
    Ok(Findings { idle: Some(idle), ..findings })
}

/// Rests, and returns the memory of the server and of this process.
fn settle(engine: &mut Engine) -> Result<(Memory, u64)> {
    engine.progress.stage("settle");
    engine.run_until(engine.clock.now_ns() + nanos(engine.config.warmup))?;
    if engine.is_interrupted() {
        return Err(Stop::Interrupted.into());
    }
    Ok((engine.watch.memory(), own_rss_bytes()))
}
