//! Occupancy: subscribers that are told how many they are, and what that costs in a crowd.

use crate::simulation::{Peer, SimulatedHub};
use throng::config::HubLimits;
use throng::hub::MessageShape;
use throng::protocol::Encoding;

fn watcher(hub: &SimulatedHub) -> Peer {
    hub.connect_as(MessageShape { encoding: Encoding::NumberedLines, ..MessageShape::default() }).subscribe("lobby")
}

/// What a peer was told, in order.
fn told(hub: &SimulatedHub, peer: &Peer) -> Vec<u32> {
    hub.run_until_idle();
    let lines = peer.lines();
    lines.iter().filter_map(|line| line.strip_prefix(" [throng] here ")?.parse().ok()).collect()
}

#[test]
fn crowd_that_comes_and_goes_costs_one_line_per_announcement() {
    let hub = SimulatedHub::new(2, &HubLimits::default());
    let watching = watcher(&hub);
    let mut crowd: Vec<_> = (0..99).map(|_| hub.connect().subscribe("lobby")).collect();
    assert_eq!(hub.announce(), 2, "one for each shard");
    assert_eq!(hub.announce(), 0, "nothing has changed since");
    assert_eq!(told(&hub, &watching), [100]);
    crowd.drain(..50).for_each(|peer| peer.leave());
    hub.announce();
    assert_eq!(told(&hub, &watching), [100, 50]);
    assert!(crowd.iter().all(|peer| peer.lines().is_empty()), "plain clients notice nothing");
}

/// Exact also after an abrupt end, and when somebody leaves the channel and stays connected.
#[test]
fn every_way_to_leave_is_counted() {
    let hub = SimulatedHub::with_limits(&HubLimits::default());
    let watching = watcher(&hub);
    let [gone, unsubscribed] = [(); 2].map(|()| hub.connect().subscribe("lobby"));
    gone.pipe().vanish();
    gone.leave();
    unsubscribed.unsubscribe("lobby");
    hub.announce();
    assert_eq!(told(&hub, &watching), [1]);
}

/// Most channels have plain clients only.
#[test]
fn channel_in_which_nobody_is_told_costs_nothing() {
    let hub = SimulatedHub::with_limits(&HubLimits::default());
    let peers: Vec<_> = (0..10).map(|_| hub.connect().subscribe("lobby")).collect();
    peers[0].leave();
    assert_eq!(hub.announce(), 0);
}

#[test]
fn channel_that_is_gone_is_not_told() {
    let hub = SimulatedHub::with_limits(&HubLimits::default());
    let peer = watcher(&hub);
    peer.leave();
    assert_eq!(hub.announce(), 0);
    hub.end();
}
