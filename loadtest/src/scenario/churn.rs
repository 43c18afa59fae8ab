//! Churn: what arrivals and departures cost those who stay.
//!
//! A calm phase, then one of the same length in which the last clients come and go. Latency is that of those who stay,
//! in both; newcomers are verified from the first message they see.

use std::time::Duration;

use anyhow::Result;

use crate::coordinator::{Coordinator, Window};
use crate::worker::order::Drive;

/// Runs both phases.
pub(super) fn run(run: &mut Coordinator) -> Result<()> {
    run.connect_all()?;
    let drive = Drive::Rate(run.config.rate);
    run.measure_load("calm", drive)?;
    if run.is_interrupted() {
        return Ok(());
    }
    let (duration, churn_rate) = (run.config.duration, run.config.churn_rate);
    let phase = run.measure(&Window { name: "churn", drive, warmup: Duration::ZERO, duration, churn_rate })?;
    run.findings.phases.push(phase);
    Ok(())
}
