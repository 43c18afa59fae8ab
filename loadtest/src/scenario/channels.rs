//! Channels: what if the same people stand in many channels, few of them crowded and most nearly empty.

use anyhow::Result;

use crate::audience::Audience;
use crate::coordinator::Coordinator;
use crate::report::Channels;
use crate::worker::order::Drive;

/// Connects everybody to their channels and publishes where the people are.
pub(super) fn run(run: &mut Coordinator) -> Result<()> {
    let config = run.config.clone();
    let sizes = Audience::new(&config).sizes();
    let before = run.watch.memory().server_rss;
    run.connect_all()?;
    let growth = run.watch.memory().server_rss as f64 - before as f64;
    let subscriptions = config.clients * config.subscriptions;
    run.findings.channels = Some(Channels {
        channels: config.channels,
        occupied: sizes.len(),
        subscriptions,
        largest: sizes.last().copied().unwrap_or_default(),
        median: sizes.get(sizes.len() / 2).copied().unwrap_or_default(),
        server_rss_per_subscription: (before > 0).then(|| growth / subscriptions as f64),
    });
    run.measure_load("measure", Drive::Rate(config.rate))
}
