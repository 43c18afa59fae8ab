//! Inspection: what an operator sees of connections, slice by slice.

use crate::simulation::SimulatedHub;
use std::time::Duration;
use throng::config::HubLimits;
use throng::hub::Command;
use throng::hub::inspection::{Inspection, Rank, View};
use tokio::sync::oneshot;

/// Asks a shard for all slices, as the route does.
fn inspect(hub: &SimulatedHub, rank: Rank, limit: usize) -> (usize, Vec<View>) {
    let (mut slices, mut from, mut seen) = (0, Some(0), Vec::new());
    while let Some(slot) = from {
        let (reply, mut told) = oneshot::channel();
        hub.push(0, Command::Inspect(Inspection { from: slot, rank, limit, reply }));
        hub.pass(0);
        let slice = told.try_recv().expect("a pass answers");
        assert!(slice.connections.len() <= limit);
        (slices, from) = (slices + 1, slice.next);
        seen.extend(slice.connections);
    }
    (slices, seen)
}

/// A look at a hundred thousand connections must not be one long pass, and must not miss the one that matters.
#[test]
fn many_connections_are_looked_at_slice_by_slice_and_the_slow_one_is_found_in_any() {
    let hub = SimulatedHub::with_limits(&HubLimits { connections_max: 20_001, ..HubLimits::default() });
    let peers: Vec<_> = (0..20_000).map(|_| hub.connect().subscribe("all")).collect();
    for slow in [0, 8191, 8192, 19_999] {
        peers[slow].pipe().limit(0);
        hub.publish("all", "for all");
        hub.run_until_idle();
        let (slices, seen) = inspect(&hub, Rank::Lag, 2);
        assert_eq!(slices, 3, "8,192 slots at a time");
        let lagging: Vec<_> = seen.iter().filter(|view| view.lag_bytes > 0).collect();
        assert_eq!(lagging.len(), 1);
        assert_eq!((lagging[0].id, lagging[0].lag_publications), (peers[slow].id(), 1));
        assert!(lagging[0].stalled.is_some());
        peers[slow].resume();
        hub.run_until_idle();
    }
    hub.advance(Duration::from_secs(5));
    let late = hub.connect();
    hub.run_until_idle();
    let (_, seen) = inspect(&hub, Rank::Age, 1);
    assert!(seen[0].age >= Duration::from_secs(5) && seen[0].id != late.id(), "the oldest first");
}
