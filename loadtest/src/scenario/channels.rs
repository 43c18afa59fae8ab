//! Channels: what if the clients are spread over many channels, a few large and most nearly empty.

use crate::audience::Audience;
use crate::coordinator::Coordinator;
use crate::results::Channels;
use crate::worker::messages::Drive;
use anyhow::Result;

/// Connects all clients to their channels and publishes, the more in a channel the more popular it is.
pub(super) fn run(run: &mut Coordinator, rate: f64, channels: usize, subscriptions: usize) -> Result<()> {
    let sizes = Audience::new(&run.config).sizes();
    let before = run.watch.memory().server_rss;
    run.connect_all()?;
    let growth = run.watch.memory().server_rss as f64 - before as f64;
    let subscriptions = run.config.clients * subscriptions;
    run.findings.channels = Some(Channels {
        channels,
        occupied: sizes.len(),
        subscriptions,
        largest: sizes.last().copied().unwrap_or_default(),
        median: sizes.get(sizes.len() / 2).copied().unwrap_or_default(),
        server_rss_per_subscription: (before > 0).then(|| growth / subscriptions as f64),
    });
    run.measure_load("measure", Drive::Rate(rate))
}
