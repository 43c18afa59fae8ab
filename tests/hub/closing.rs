//! What the hub promises when connections are closed by the operator's will: some, the aged, the laggards.

use crate::simulation::{Peer, SimulatedHub};
use std::time::Duration;
use throng::config::HubLimits;
use throng::hub::Command;
use throng::protocol::CloseReason;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn closed(hub: &SimulatedHub, peers: &[Peer], reason: CloseReason) -> usize {
    peers.iter().filter(|peer| hub.closed(peer) == Some(reason)).count()
}

/// A drain closes as many as it was told to, others the next time, and in the end all.
#[test]
fn some_are_closed_and_the_next_time_the_next_ones() {
    let hub = SimulatedHub::with_limits(&HubLimits::default());
    let peers: Vec<_> = (0..10).map(|_| hub.connect().subscribe("lobby")).collect();
    for (count, all) in [(3, 3), (0, 3), (4, 7), (100, 10)] {
        hub.push(0, Command::CloseSome { count, reason: CloseReason::Shutdown });
        hub.run_until_idle();
        assert_eq!(closed(&hub, &peers, CloseReason::Shutdown), all);
    }
    hub.end();
}

/// A deploy costs no client a message: pending publications come first, also for clients that lag.
#[test]
fn who_is_closed_gets_what_was_published_before() {
    let hub = SimulatedHub::with_limits(&HubLimits::default());
    let slow = hub.connect().subscribe("lobby").stalled();
    hub.publish("lobby", "before");
    hub.push(0, Command::CloseSome { count: 1, reason: CloseReason::Shed });
    hub.run_until_idle();
    assert_eq!(hub.closed(&slow), None);
    slow.resume();
    hub.run_until_idle();
    assert_eq!(hub.received(&slow), ["before"]);
    assert_eq!(hub.closed(&slow), Some(CloseReason::Shed));
    hub.end();
}

/// Connections that came together must not be closed together, nor live much longer than the limit.
/// docs/threats.md, row 26.
#[test]
fn connections_live_as_long_as_they_may_give_or_take_a_tenth() {
    let limits = HubLimits { connection_age_max: seconds(1_000), ..HubLimits::default() };
    let hub = SimulatedHub::with_limits(&limits);
    let peers: Vec<_> = (0..100).map(|_| hub.connect().subscribe("lobby")).collect();
    hub.advance(seconds(895));
    assert_eq!(closed(&hub, &peers, CloseReason::Aged), 0);
    let mut most_at_once = 0;
    for _ in 0..21 {
        let before = closed(&hub, &peers, CloseReason::Aged);
        hub.advance(seconds(10));
        most_at_once = most_at_once.max(closed(&hub, &peers, CloseReason::Aged) - before);
    }
    assert_eq!(closed(&hub, &peers, CloseReason::Aged), 100);
    assert!(most_at_once <= 25, "{most_at_once} of 100 within 10 s");
    hub.end();
}

/// docs/threats.md, row 30. The connections that hold the most memory are closed first; the others stay.
#[test]
fn short_memory_costs_those_who_keep_the_older_half_of_a_large_log() {
    let hub = SimulatedHub::with_limits(&HubLimits::default());
    let far_behind = hub.connect().subscribe("lobby").stalled();
    for _ in 0..4 {
        hub.publish("lobby", "x".repeat(30_000));
        hub.run_until_idle();
    }
    let behind = hub.connect().subscribe("lobby").stalled();
    let quick = hub.connect().subscribe("lobby");
    hub.publish("lobby", "x".repeat(30_000));
    hub.run_until_idle();
    hub.push(0, Command::CloseSlowest);
    hub.run_until_idle();
    far_behind.resume();
    behind.resume();
    hub.run_until_idle();
    assert_eq!(hub.closed(&far_behind), Some(CloseReason::SlowConsumer));
    assert_eq!((hub.closed(&behind), hub.closed(&quick)), (None, None));
    hub.end();
}

/// What the kernel holds for a socket is in no log: sockets that took nothing for a second go too.
#[test]
fn short_memory_costs_those_whose_sockets_are_full() {
    let hub = SimulatedHub::with_limits(&HubLimits::default());
    let [full, filling, quick] = [(); 3].map(|()| hub.connect().subscribe("lobby"));
    full.pipe().limit(0);
    hub.publish("lobby", "x");
    hub.advance(seconds(1));
    filling.pipe().limit(0);
    hub.publish("lobby", "y");
    hub.run_until_idle();
    hub.push(0, Command::CloseSlowest);
    hub.run_until_idle();
    full.resume();
    filling.resume();
    hub.run_until_idle();
    assert_eq!(hub.closed(&full), Some(CloseReason::SlowConsumer));
    assert_eq!((hub.closed(&filling), hub.closed(&quick)), (None, None));
    hub.end();
}

/// A reload holds for open connections, and pings go on at the new interval.
#[test]
fn new_limits_hold_for_connections_that_exist() {
    let hub = SimulatedHub::with_limits(&HubLimits { ping_interval: seconds(3_600), ..HubLimits::default() });
    let slow = hub.connect().subscribe("lobby").stalled();
    let mute = hub.connect().subscribe("elsewhere").mute();
    hub.run_until_idle();
    let limits = HubLimits { outbox_bytes_max: 64, ping_interval: seconds(20), ..HubLimits::default() };
    hub.push(0, Command::Limits(limits.into()));
    hub.publish("lobby", "x".repeat(64));
    hub.advance(seconds(1));
    slow.resume();
    hub.advance(seconds(30));
    assert_eq!(hub.closed(&slow), Some(CloseReason::SlowConsumer));
    assert_eq!(hub.closed(&mute), Some(CloseReason::NoPong));
    hub.end();
}
