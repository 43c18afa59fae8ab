//! Recovery: what it costs when many clients return and ask for what they missed.
//!
//! After a calm phase the last clients are cut off, messages are published, and the clients return with their positions
//! while messages flow on. What they missed is verified like everything else, and the latency of the clients that stay
//! is compared with the calm phase.

use crate::clock::nanos;
use crate::coordinator::{Coordinator, Window};
use crate::results::Recovery;
use crate::worker::messages::{Drive, Event, Request};
use anyhow::{Result, bail};
use std::time::Duration;

/// Length of the window in which the missed messages are published, all at once.
const AWAY: Duration = Duration::from_millis(200);

/// Runs the phases.
pub(super) fn run(run: &mut Coordinator, rate: f64, missed: usize, within: Duration) -> Result<()> {
    run.connect_all()?;
    run.measure_load("calm", Drive::Rate(rate))?;
    if run.is_interrupted() {
        return Ok(());
    }
    run.ask(&Request::Leave, Event::left)?;
    // One burst: the next one would be due after the window.
    let burst = Drive::Bursts { messages: missed, every_ns: nanos(2 * AWAY) };
    run.measure(&Window::new("away", burst, Duration::ZERO, AWAY))?;
    if run.is_interrupted() {
        return Ok(());
    }
    let (before, peak_before) = (run.watch.rss(), run.watch.rss_peak_ever());
    // Twice as long as the return, so that the window has the work that goes on after the last one.
    let window = Window::new("return", Drive::Rate(rate), Duration::ZERO, 2 * within);
    let phase = run.measure(&Window { return_within: within, ..window })?;
    let peak = run.watch.rss_peak_ever();
    let sampled = phase.server_rss_peak;
    run.findings.phases.push(phase);
    let [calm, back] = &run.findings.phases[..] else { bail!("two phases were measured") };
    let ratio = |calm: u64, back: u64| back as f64 / calm.max(1) as f64;
    let (p50_ratio, p99_ratio) =
        (ratio(calm.latency.p50_us, back.latency.p50_us), ratio(calm.latency.p99_us, back.latency.p99_us));
    let found = run.findings.recovery.take().unwrap_or_default();
    run.findings.recovery = Some(Recovery {
        missed,
        p50_ratio,
        p99_ratio,
        server_rss_before: before,
        // Samples are a second apart; the kernel's own mark is exact, if the peak was in this phase.
        server_rss_peak: if peak > peak_before { peak } else { sampled },
        ..found
    });
    Ok(())
}
