//! Slow: what receivers that stop reading cost the others, and the server.
//!
//! A calm phase in which everybody reads, then a phase of the same length in which the last ones do not. Latency is
//! that of the same healthy receivers in both. After that the stalled ones are read to their end, to see how the server
//! parted with them.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::clock::{nanos, now_ns};
use crate::coordinator::{Coordinator, Window};
use crate::report::Slow;
use crate::worker::closes::sum;
use crate::worker::order::{Command, Drive, Event};

/// How long the stalled connections are read afterwards; a few MB each over loopback take far less.
const READ_OUT: Duration = Duration::from_secs(3);

/// Runs both phases.
pub(super) fn run(run: &mut Coordinator) -> Result<()> {
    run.connect_all()?;
    let drive = Drive::Rate(run.config.rate);
    run.measure_load("calm", drive)?;
    if run.is_interrupted() {
        return Ok(());
    }
    let stalled = stall(run)?;
    let (warmup, duration) = (Duration::ZERO, run.config.duration);
    let phase = run.measure(&Window { name: "stalled", drive, warmup, duration, churn_rate: 0.0 })?;
    run.findings.phases.push(phase);
    run.stalls.look(now_ns());
    // What the stalled ones missed is no loss, so the books close before they are read.
    run.close_books()?;
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

fn ratio(calm: u64, stalled: u64) -> f64 {
    stalled as f64 / calm.max(1) as f64
}

fn growth(before: u64, peak: u64, clients: usize) -> f64 {
    (peak as f64 - before as f64) / clients.max(1) as f64
}

/// Stops reading, and returns how many are not read.
fn stall(run: &mut Coordinator) -> Result<usize> {
    let mut standing = HashMap::new();
    for part in run.ask(&Command::Stall, Event::stalled)? {
        standing.extend(part.into_iter().map(|(client, address)| (address, client)));
    }
    let stalled = standing.len();
    run.stalls.begin(now_ns(), run.config.url.address.port(), standing);
    Ok(stalled)
}

/// Reads the stalled clients to their ends, and returns those.
fn read_out(run: &mut Coordinator) -> Result<Vec<crate::report::CloseCount>> {
    run.stage("read out", None);
    let mut closes = Vec::new();
    for part in run.ask(&Command::ReadOut { patience_ns: nanos(READ_OUT) }, Event::read_out)? {
        closes.extend(part);
    }
    Ok(sum(closes))
}
