//! The scenarios: each asks one question and fills its part of the findings.
//!
//! A scenario that is interrupted returns what it has; one that fails leaves in the findings what it had until then.

mod channels;
mod churn;
mod idle;
mod ramp;
mod slow;
mod soak;
mod storm;

use anyhow::Result;

use crate::clock::nanos;
use crate::config::Scenario;
use crate::coordinator::Coordinator;
use crate::worker::order::Drive;

/// Runs the scenario that the configuration asks for.
///
/// # Errors
///
/// Fails when the server can not be reached, refuses, breaks the protocol or goes away.
pub(crate) fn run(run: &mut Coordinator) -> Result<()> {
    let rate = run.config.rate;
    match run.config.scenario {
        Scenario::Idle => idle::run(run),
        Scenario::Fanout => steady(run, Drive::Rate(rate)),
        Scenario::Saturate => steady(run, Drive::Window(u32::try_from(run.config.window)?)),
        Scenario::Chat => steady(run, Drive::Rate(rate * run.config.clients as f64)),
        Scenario::Burst => {
            let every_ns = nanos(run.config.every);
            steady(run, Drive::Bursts { messages: run.config.burst, every_ns })
        }
        Scenario::Slow => slow::run(run),
        Scenario::Storm => storm::run(run),
        Scenario::Churn => churn::run(run),
        Scenario::Ramp => ramp::run(run),
        Scenario::Channels => channels::run(run),
        Scenario::Soak => soak::run(run),
    }
}

/// Connects everybody and applies one load.
fn steady(run: &mut Coordinator, drive: Drive) -> Result<()> {
    run.connect_all()?;
    run.measure_load("measure", drive)
}
