//! Two phases of the same length: calm, then disturbed. Latency is that of the same healthy receivers in both.
//!
//! Slow: in the second phase the last receivers do not read. After it they are read to their end, to find out how the
//! server closed them. Churn: in the second phase the last clients disconnect and reconnect, and each new connection is
//! verified from the first message it receives.

use crate::clock::{nanos, now_ns};
use crate::coordinator::{Coordinator, Window};
use crate::measure::CloseCount;
use crate::results::Slow;
use crate::worker::messages::{Drive, Event, Request};
use anyhow::{Result, bail};
use std::collections::HashMap;
use std::time::Duration;

/// How long the stalled connections are read afterwards; a few MB each over loopback take far less.
const READ_OUT: Duration = Duration::from_secs(3);

/// Measures what receivers that stop reading cost the others, and the server.
pub(super) fn slow(run: &mut Coordinator, rate: f64) -> Result<()> {
    if !calm(run, rate)? {
        return Ok(());
    }
    let stalled = stall(run)?;
    disturbed(run, "stalled", rate, 0.0)?;
    run.stalls.look(now_ns());
    // What the stalled clients missed is not lost, so deliveries are counted before those clients are read.
    run.account()?;
    let closes = read_out(run)?;
    let ended_after_seconds = run.stalls.seconds();
    let [calm, slow] = &run.findings.phases[..] else { bail!("two phases were measured") };
    run.findings.slow = Some(Slow {
        stalled,
        ended: ended_after_seconds.len(),
        ended_after_seconds,
        closes,
        p50_ratio: ratio(calm.latency.p50_us, slow.latency.p50_us),
        p99_ratio: ratio(calm.latency.p99_us, slow.latency.p99_us),
        server_rss_per_stalled: growth(slow.memory_before.server_rss, slow.server_rss_peak, stalled),
        kernel_tcp_per_stalled: growth(slow.memory_before.kernel_tcp, slow.kernel_tcp_peak, stalled),
    });
    Ok(())
}

/// Measures what arrivals and departures cost the clients that stay.
pub(super) fn churn(run: &mut Coordinator, rate: f64, churn_rate: f64) -> Result<()> {
    if calm(run, rate)? {
        disturbed(run, "churn", rate, churn_rate)?;
    }
    Ok(())
}

/// Connects all clients and measures the calm phase. Returns whether to go on.
fn calm(run: &mut Coordinator, rate: f64) -> Result<bool> {
    run.connect_all()?;
    run.measure_load("calm", Drive::Rate(rate))?;
    Ok(!run.is_interrupted())
}

/// Measures the disturbed phase. It needs no warm-up: messages flow already.
fn disturbed(run: &mut Coordinator, name: &'static str, rate: f64, churn_rate: f64) -> Result<()> {
    let (warmup, duration) = (Duration::ZERO, run.config.duration);
    let window = Window { churn_rate, ..Window::new(name, Drive::Rate(rate), warmup, duration) };
    let phase = run.measure(&window)?;
    run.findings.phases.push(phase);
    Ok(())
}

fn ratio(calm: u64, stalled: u64) -> f64 {
    stalled as f64 / calm.max(1) as f64
}

fn growth(before: u64, peak: u64, clients: usize) -> f64 {
    (peak as f64 - before as f64) / clients.max(1) as f64
}

/// Stops reading the last receivers, and returns how many these are.
fn stall(run: &mut Coordinator) -> Result<usize> {
    let mut established = HashMap::new();
    for part in run.ask(&Request::Stall, Event::stalled)? {
        established.extend(part.into_iter().map(|(client, address)| (address, client)));
    }
    let stalled = established.len();
    run.stalls.begin(now_ns(), run.config.url.address.port(), established);
    Ok(stalled)
}

/// Reads the stalled clients to their ends, and returns how the server closed them.
fn read_out(run: &mut Coordinator) -> Result<Vec<CloseCount>> {
    run.stage("read out", None);
    let mut closes = Vec::new();
    for part in run.ask(&Request::ReadOut { patience_ns: nanos(READ_OUT) }, Event::read_out)? {
        closes.extend(part);
    }
    Ok(CloseCount::sum(closes))
}
