//! Idle: what a connection costs while nothing happens.
//!
//! The cost is the slope between two numbers of connections, so that the server's base memory is not counted.

use crate::clock::{now_ns, seconds};
use crate::coordinator::Coordinator;
use crate::exit::RunError;
use crate::measure::Memory;
use crate::results::Idle;
use crate::worker::messages::{Event, Request};
use anyhow::Result;

/// Connects in two steps, rests before each measurement, and holds.
pub(super) fn run(run: &mut Coordinator, low: usize) -> Result<()> {
    let high = run.config.clients;
    run.findings.connections = run.connect_to(low)?;
    let (memory_low, own_low) = settle(run)?;
    run.findings.connections = run.connect_to(high)?;
    let (memory_high, own_high) = settle(run)?;
    let duration = run.config.duration;
    run.stage("hold", Some(duration));
    let (before, start) = (run.watch.moment(), now_ns());
    run.hold(duration)?;
    let held_seconds = seconds(start, now_ns());
    let used = run.watch.moment().cpu_seconds_since(&before).unwrap_or_default();
    let slope = |low_bytes: u64, high_bytes: u64| (high_bytes as f64 - low_bytes as f64) / (high - low) as f64;
    run.findings.idle = Some(Idle {
        connections_low: low,
        connections_high: high,
        server_rss_per_connection: slope(memory_low.server_rss, memory_high.server_rss),
        server_pss_per_connection: slope(memory_low.server_pss, memory_high.server_pss),
        kernel_slab_per_connection: slope(memory_low.kernel_slab, memory_high.kernel_slab),
        generator_rss_per_connection: slope(own_low, own_high),
        memory_low,
        memory_high,
        held_seconds,
        server_cpu_share: used / held_seconds.max(1e-9),
        server_rss_at_end: run.watch.rss(),
    });
    Ok(())
}

/// Rests, and returns the memory of the server and of the workers.
fn settle(run: &mut Coordinator) -> Result<(Memory, u64)> {
    let warmup = run.config.warmup;
    run.stage("settle", Some(warmup));
    run.rest(warmup)?;
    if run.is_interrupted() {
        return Err(RunError::Interrupted.into());
    }
    let mut own = 0;
    for received in run.ask(&Request::Received, Event::received)? {
        own += received.rss_bytes;
    }
    Ok((run.watch.memory(), own))
}
