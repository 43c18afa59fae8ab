//! Presence: who is in a channel, exactly, and who has joined and left, at a price that a crowd can bear.

use crate::simulation::{Peer, SimulatedHub};
use std::time::Duration;
use throng::config::{HubLimits, SlowConsumer};
use throng::hub::{MessageShape, PresenceStats};
use throng::protocol::{ChannelName, Encoding};

/// A hub of two shards whose channels know who is there, and tell it if `join_leave`.
fn hub_with_presence(join_leave: bool) -> SimulatedHub {
    let hub = SimulatedHub::new(2, &HubLimits::default());
    hub.keep(0, Duration::ZERO);
    hub.reload(|options| (options.presence, options.join_leave) = (true, join_leave));
    hub
}

fn numbered(hub: &SimulatedHub) -> Peer {
    hub.connect_as(MessageShape { encoding: Encoding::NumberedLines, ..MessageShape::default() })
}

fn stats(hub: &SimulatedHub) -> PresenceStats {
    hub.hub().presence(&ChannelName::parse("lobby").unwrap()).stats()
}

/// The members gauge of the process.
fn gauge(hub: &SimulatedHub) -> u64 {
    hub.hub().metrics().process.read().presence_members
}

fn named(peers: &[(&Peer, &str)]) -> Vec<String> {
    let mut names: Vec<_> = peers.iter().map(|(peer, user)| format!("{} {user}", peer.id())).collect();
    names.sort();
    names
}

/// What a peer is told of joins and leaves with the next announcement.
fn told(hub: &SimulatedHub, peer: &Peer) -> Vec<String> {
    let before = peer.lines().len();
    hub.announce();
    hub.run_until_idle();
    let lines = peer.lines().split_off(before);
    let events = lines.iter().filter_map(|line| line.strip_prefix(" [throng] "));
    events.filter(|line| !line.starts_with("here ") && !line.starts_with("position")).map(str::to_owned).collect()
}

fn joined(peer: &Peer, user: &str) -> String {
    format!(r#"joined {{"user":"{user}","client":"{}"}}"#, peer.id())
}

fn left(peer: &Peer, user: &str) -> String {
    format!(r#"left {{"user":"{user}","client":"{}"}}"#, peer.id())
}

/// Exact at once, on whatever shard a client is, and however it ends.
#[test]
fn every_way_to_join_and_to_leave_changes_who_is_there() {
    let hub = hub_with_presence(false);
    let plain = hub.connect().subscribe("lobby");
    let alice = hub.connect().user("alice").subscribe("lobby");
    let again = numbered(&hub).user("alice").subscribe("lobby");
    assert_eq!(hub.presence("lobby"), named(&[(&plain, ""), (&alice, "alice"), (&again, "alice")]));
    assert_eq!((stats(&hub), gauge(&hub)), (PresenceStats { clients: 3, users: 2 }, 3));
    // Its socket breaks: it is there until its session has ended.
    alice.pipe().vanish();
    alice.leave();
    assert_eq!(hub.presence("lobby"), named(&[(&plain, ""), (&again, "alice")]));
    plain.unsubscribe("lobby");
    assert_eq!(hub.presence("lobby"), named(&[(&again, "alice")]));
    again.leave();
    assert_eq!((hub.presence("lobby"), gauge(&hub)), (vec![], 0));
    hub.end();
}

/// One client, two channels: each of them knows it once.
#[test]
fn client_is_a_member_of_each_of_its_channels() {
    let hub = hub_with_presence(false);
    let peer = hub.connect().user("alice").subscribe("lobby").subscribe("other");
    assert_eq!(
        (hub.presence("lobby"), hub.presence("other")),
        (named(&[(&peer, "alice")]), named(&[(&peer, "alice")]))
    );
    assert_eq!(gauge(&hub), 2);
    peer.unsubscribe("other");
    assert_eq!((hub.presence("lobby").len(), hub.presence("other").len(), gauge(&hub)), (1, 0, 1));
    peer.leave();
    assert_eq!(gauge(&hub), 0);
}

#[test]
fn channel_without_presence_knows_nobody() {
    let hub = SimulatedHub::with_limits(&HubLimits::default());
    let _peer = hub.connect().user("alice").subscribe("lobby");
    assert_eq!((hub.presence("lobby"), stats(&hub), gauge(&hub)), (vec![], PresenceStats::default(), 0));
    assert_eq!(hub.presence("nowhere"), Vec::<String>::new());
}

/// Those who were there already are counted, and named once they subscribe again: the channel never knew their names.
#[test]
fn presence_that_is_switched_on_counts_those_who_were_there() {
    let hub = SimulatedHub::new(2, &HubLimits::default());
    let [old, other] = [(); 2].map(|()| hub.connect().user("old").subscribe("lobby"));
    hub.reload(|options| options.presence = true);
    let new = hub.connect().user("new").subscribe("lobby");
    assert_eq!(hub.presence("lobby"), named(&[(&new, "new")]));
    assert_eq!(stats(&hub), PresenceStats { clients: 3, users: 2 });
    old.leave();
    assert_eq!(stats(&hub).clients, 2);
    other.unsubscribe("lobby");
    let other = other.subscribe("lobby");
    assert_eq!(hub.presence("lobby"), named(&[(&new, "new"), (&other, "old")]));
    assert_eq!((stats(&hub), gauge(&hub)), (PresenceStats { clients: 2, users: 2 }, 2));
}

/// What was known is forgotten, and does not come back with the option.
#[test]
fn presence_that_is_switched_off_is_freed() {
    let hub = hub_with_presence(true);
    let watching = numbered(&hub).subscribe("lobby");
    let early = hub.connect().user("early").subscribe("lobby");
    hub.reload(|options| (options.presence, options.join_leave) = (false, false));
    assert_eq!((hub.presence("lobby"), gauge(&hub)), (vec![], 0));
    early.leave();
    let late = hub.connect().user("late").subscribe("lobby");
    hub.reload(|options| (options.presence, options.join_leave) = (true, true));
    assert_eq!((hub.presence("lobby"), stats(&hub).clients), (vec![], 2));
    late.leave();
    let newest = hub.connect().user("newest").subscribe("lobby");
    assert_eq!((hub.presence("lobby"), stats(&hub).clients), (named(&[(&newest, "newest")]), 2));
    assert_eq!(told(&hub, &watching), [joined(&newest, "newest")]);
    [watching, newest].iter().for_each(Peer::leave);
    assert_eq!(stats(&hub), PresenceStats::default());
    hub.end();
}

#[test]
fn joins_and_leaves_are_told_in_order_to_those_whose_protocol_has_room_for_it() {
    let hub = hub_with_presence(true);
    let (watching, plain) = (numbered(&hub).user("w").subscribe("lobby"), hub.connect().subscribe("lobby"));
    assert_eq!(told(&hub, &watching), [joined(&watching, "w"), joined(&plain, "")]);
    let [b, a] = ["b", "a"].map(|name| hub.connect().user(name).subscribe("lobby"));
    plain.leave();
    assert_eq!(told(&hub, &watching), [joined(&b, "b"), joined(&a, "a"), left(&plain, "")]);
    assert_eq!(told(&hub, &watching), [""; 0], "nothing has happened since");
    assert!(a.lines().is_empty() && b.lines().is_empty(), "plain clients notice nothing");
    let process = hub.hub().metrics().process.read();
    assert_eq!((process.presence_joins, process.presence_leaves), (4, 1));
}

#[test]
fn without_join_leave_nothing_is_told() {
    let hub = hub_with_presence(false);
    let watching = numbered(&hub).subscribe("lobby");
    hub.connect().subscribe("lobby").leave();
    assert_eq!(told(&hub, &watching), [""; 0]);
}

#[test]
fn client_that_comes_and_goes_in_between_is_not_told() {
    let hub = hub_with_presence(true);
    let (watching, stays) = (numbered(&hub).subscribe("lobby"), hub.connect().subscribe("lobby"));
    assert_eq!(told(&hub, &watching).len(), 2);
    hub.connect().user("brief").subscribe("lobby").leave();
    stays.unsubscribe("lobby");
    let stays = stays.subscribe("lobby");
    assert_eq!(told(&hub, &watching), [""; 0]);
    stays.unsubscribe("lobby");
    let stays = stays.user("named").subscribe("lobby");
    assert_eq!(told(&hub, &watching), [left(&stays, ""), joined(&stays, "named")], "others know more of it now");
}

/// A client that asks who is there and then listens must end up with the truth, also about those whose coming and going
/// would otherwise cancel.
#[test]
fn whoever_was_seen_is_told_to_have_left() {
    let hub = hub_with_presence(true);
    let (watching, stays) = (numbered(&hub).subscribe("lobby"), hub.connect().subscribe("lobby"));
    told(&hub, &watching);
    let brief = hub.connect().user("brief").subscribe("lobby");
    stays.unsubscribe("lobby");
    assert_eq!(hub.presence("lobby"), named(&[(&watching, ""), (&brief, "brief")]));
    brief.leave();
    let stays = stays.subscribe("lobby");
    assert_eq!(told(&hub, &watching), [left(&brief, "brief"), joined(&stays, "")]);
}

/// A crowd that comes is one write per subscriber and announcement.
#[test]
fn crowd_costs_one_write_per_announcement() {
    let hub = hub_with_presence(true);
    let watching = numbered(&hub).subscribe("lobby");
    told(&hub, &watching);
    let crowd: Vec<_> = (0..200).map(|_| hub.connect().subscribe("lobby")).collect();
    hub.run_until_idle();
    let before = watching.pipe().writes();
    assert_eq!(told(&hub, &watching).len(), 200);
    assert_eq!(watching.pipe().writes() - before, 1);
    crowd.iter().for_each(Peer::leave);
    hub.run_until_idle();
    assert_eq!(told(&hub, &watching).len(), 200);
    assert_eq!(watching.pipe().writes() - before, 2);
}

/// What is more than one announcement bears comes with the next ones: late, and complete.
#[test]
fn large_crowd_is_told_bit_by_bit_and_completely() {
    let hub = hub_with_presence(true);
    let watching = numbered(&hub).subscribe("lobby");
    told(&hub, &watching);
    let user = "u".repeat(1000);
    let crowd: Vec<_> = (0..200).map(|_| hub.connect().user(&user).subscribe("lobby")).collect();
    let mut all = Vec::new();
    let mut announcements = 0;
    loop {
        let events = told(&hub, &watching);
        if events.is_empty() {
            break;
        }
        announcements += 1;
        assert!(events.iter().map(String::len).sum::<usize>() < 70_000, "at most about one message");
        all.extend(events);
    }
    assert_eq!(all, crowd.iter().map(|peer| joined(peer, &user)).collect::<Vec<_>>());
    assert!(announcements > 2, "{announcements}");
}

/// A slow client that skips ahead learns that its picture of who is there may be wrong.
#[test]
fn skipped_joins_and_leaves_are_told_as_skipped() {
    let limits = HubLimits { slow_consumer: SlowConsumer::Skip, outbox_bytes_max: 64, ..HubLimits::default() };
    let hub = SimulatedHub::with_limits(&limits);
    hub.keep(0, Duration::ZERO);
    hub.reload(|options| (options.presence, options.join_leave) = (true, true));
    let watching = numbered(&hub).subscribe("lobby");
    told(&hub, &watching);
    watching.pipe().limit(0);
    let crowd: Vec<_> = (0..50).map(|_| hub.connect().subscribe("lobby")).collect();
    hub.announce();
    hub.advance(Duration::from_secs(5));
    watching.resume();
    hub.run_until_idle();
    let lines = watching.lines();
    let notice = " [throng] joins and leaves skipped: this connection is too slow";
    assert!(lines.iter().any(|line| line == notice), "{lines:?}");
    drop(crowd);
}
