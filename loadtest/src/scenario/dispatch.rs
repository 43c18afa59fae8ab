//! Dispatch: from a load to the scenario that applies it.

use super::{channels, idle, ramp, recovery, soak, storm, two_phases};
use crate::clock::nanos;
use crate::config::Load;
use crate::coordinator::Coordinator;
use crate::worker::messages::Drive;
use anyhow::Result;

/// Runs the scenario that the configuration asks for.
///
/// # Errors
///
/// Fails when the server cannot be reached, refuses connections, breaks the protocol or goes away.
pub(crate) fn run(run: &mut Coordinator) -> Result<()> {
    match run.config.load {
        Load::Idle { clients_low } => idle::run(run, clients_low),
        Load::Fanout { rate } => steady(run, Drive::Rate(rate)),
        Load::Saturate { window } => steady(run, Drive::Window(u32::try_from(window)?)),
        Load::Chat { rate } => steady(run, Drive::Rate(rate * run.config.clients as f64)),
        Load::Burst { messages, every } => steady(run, Drive::Bursts { messages, every_ns: nanos(every) }),
        Load::Slow { rate, .. } => two_phases::slow(run, rate),
        Load::Storm { rate, jitter } => storm::run(run, rate, jitter),
        Load::Churn { rate, churn_rate, .. } => two_phases::churn(run, rate, churn_rate),
        Load::Recovery { rate, missed, within, .. } => recovery::run(run, rate, missed, within),
        Load::Ramp(load) => ramp::run(run, &load),
        Load::Channels { rate, channels, subscriptions, .. } => channels::run(run, rate, channels, subscriptions),
        Load::Soak { rate } => soak::run(run, rate),
    }
}

/// Connects all clients and applies one load.
fn steady(run: &mut Coordinator, drive: Drive) -> Result<()> {
    run.connect_all()?;
    run.measure_load("measure", drive)
}
