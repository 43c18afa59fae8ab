//! What the hub promises, one test per claim: no socket, no sleep, no port, no clock but the test's.

use crate::simulation::{End, Peer, SimulatedHub};
use std::time::Duration;
use throng::config::HubLimits;
use throng::hub::inbox::{CREDIT_BYTES, CREDITS};
use throng::hub::{Command, NoCredit, Slot};
use throng::protocol::CloseReason;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// No pings in the way of what is tested.
fn quiet() -> HubLimits {
    HubLimits { ping_interval: seconds(3600), ..HubLimits::default() }
}

/// A deploy must not cost a client a message: the close frame comes last.
#[test]
fn close_leaves_after_the_backlog() {
    let hub = SimulatedHub::new(2, &quiet());
    let fast = hub.connect().subscribe("lobby");
    let slow = hub.connect().subscribe("lobby").stalled();
    let expected: Vec<_> = (0..100).map(|number| format!("line {number}")).collect();
    expected.iter().for_each(|line| hub.publish("lobby", line));
    hub.close_all(CloseReason::Shutdown);
    hub.run_until_idle();
    assert_eq!((hub.received(&fast), hub.closed(&fast)), (expected.clone(), Some(CloseReason::Shutdown)));
    slow.resume();
    hub.run_until_idle();
    assert_eq!((hub.received(&slow), hub.closed(&slow)), (expected, Some(CloseReason::Shutdown)));
    assert_eq!(slow.end(), End::Finished);
    let late = hub.connect().subscribe("lobby");
    hub.run_until_idle();
    assert_eq!(hub.closed(&late), Some(CloseReason::Shutdown));
    hub.end();
}

/// The first reason is the cause; what follows is its consequence.
#[test]
fn first_reason_to_close_is_the_one_told() {
    let hub = SimulatedHub::with_limits(&quiet());
    let peer = hub.connect().subscribe("lobby");
    hub.close(&peer, CloseReason::TooManyRequests);
    hub.close(&peer, CloseReason::NoPong);
    hub.run_until_idle();
    assert_eq!(hub.closed(&peer), Some(CloseReason::TooManyRequests));
    assert_eq!(hub.counts(0).closes.iter().sum::<u64>(), 1);
}

/// A connection that has ended is not counted and gets nothing, even in the pass in which it ends.
#[test]
fn who_left_gets_no_publication_behind_a_gap() {
    let hub = SimulatedHub::new(2, &quiet());
    let [gone, stays] = [(); 2].map(|()| hub.connect().subscribe("lobby"));
    assert_ne!(gone.id().shard(), stays.id().shard());
    hub.run_until_idle();
    gone.leave();
    hub.publish("lobby", "passes the shard by");
    let new = hub.connect().subscribe("lobby");
    let also_new = hub.connect().subscribe("lobby");
    hub.publish("lobby", "for the new one");
    hub.run_until_idle();
    assert_eq!(hub.received(&gone), [""; 0]);
    assert_eq!(
        (hub.received(&new), hub.received(&also_new)),
        (vec!["for the new one".into()], vec!["for the new one".into()])
    );
    hub.end();
}

/// Clients that count their pongs are not disappointed while nothing is in the way.
#[test]
fn free_socket_answers_every_ping() {
    let hub = SimulatedHub::with_limits(&quiet());
    let peer = hub.connect().subscribe("lobby");
    for _ in 0..10 {
        hub.push(0, Command::Ping { id: peer.id(), body: "body".into() });
    }
    hub.run_until_idle();
    assert_eq!(peer.pongs(), vec![b"body".to_vec(); 10]);
}

/// docs/threats.md, row 25.
#[test]
fn missed_pong_is_closed_and_answered_ping_is_not() {
    let hub = SimulatedHub::with_limits(&HubLimits::default());
    let mute = hub.connect().subscribe("lobby").mute();
    let alive = hub.connect().subscribe("lobby");
    hub.advance(seconds(5));
    assert_eq!((mute.pings(), hub.closed(&mute)), (1, None));
    hub.advance(seconds(2));
    assert_eq!(hub.closed(&mute), Some(CloseReason::NoPong));
    hub.advance(seconds(120));
    assert_eq!((alive.pings(), hub.closed(&alive)), (3, None));
}

/// After SIGSTOP the answers lie unread in the sockets. docs/threats.md, row 27.
#[test]
fn pause_of_the_process_closes_nobody() {
    let hub = SimulatedHub::with_limits(&HubLimits::default());
    let alive = hub.connect().subscribe("lobby");
    let slow = hub.connect().subscribe("lobby").stalled();
    hub.publish("lobby", "x");
    hub.advance(seconds(1));
    assert_eq!(alive.pings(), 1);
    hub.pause(seconds(3600));
    hub.run_until_idle();
    hub.pause(seconds(3600));
    hub.run_until_idle();
    slow.resume();
    hub.advance(seconds(2));
    assert_eq!((hub.closed(&alive), hub.closed(&slow)), (None, None));
}

#[test]
fn close_frame_that_is_not_taken_in_time_aborts() {
    let hub = SimulatedHub::with_limits(&quiet());
    let slow = hub.connect().subscribe("lobby").stalled();
    hub.close(&slow, CloseReason::TooManyRequests);
    hub.advance(Duration::from_millis(4950));
    assert_eq!(slow.end(), End::Open);
    hub.advance(Duration::from_millis(50));
    assert_eq!(slow.end(), End::Aborted);
    hub.end();
}

/// A peer that has the close frame and does not end would keep its slot.
#[test]
fn peer_that_does_not_end_after_the_close_frame_is_aborted() {
    let hub = SimulatedHub::with_limits(&quiet());
    let peer = hub.connect().subscribe("lobby");
    hub.close(&peer, CloseReason::TooManyRequests);
    hub.run_until_idle();
    assert_eq!((peer.end(), hub.closed(&peer)), (End::Finished, Some(CloseReason::TooManyRequests)));
    hub.advance(seconds(5));
    assert_eq!(peer.end(), End::Aborted);
}

/// The window counts the bytes of the log: 65,536 of them are one message, and one more is two.
#[test]
fn coalesced_message_is_cut_at_64_kib_at_a_message_edge() {
    for (last, expected) in [(1023, 1), (1024, 2)] {
        let hub = SimulatedHub::with_limits(&quiet());
        let peer = hub.connect().subscribe("lobby");
        let mut lines = vec!["x".repeat(1023); 63];
        lines.push("y".repeat(last));
        lines.iter().for_each(|line| hub.publish("lobby", line));
        hub.run_until_idle();
        assert_eq!(hub.received(&peer), lines);
        assert_eq!(peer.texts().len(), expected);
        assert!(peer.texts().iter().all(|text| text.len() < 65_536));
    }
}

/// A publication larger than the window leaves alone and whole.
#[test]
fn publication_beyond_the_window_is_one_message() {
    for len in [65_535, 65_536, 200_000] {
        let hub = SimulatedHub::with_limits(&quiet());
        let peer = hub.connect().subscribe("lobby");
        let lines = ["before".to_owned(), "x".repeat(len), "after".to_owned()];
        lines.iter().for_each(|line| hub.publish("lobby", line));
        hub.run_until_idle();
        assert_eq!(peer.texts(), lines);
    }
}

/// The last subscriber of a round waits longest; it must not be the same one every time.
#[test]
fn everybody_is_first_in_turn() {
    let hub = SimulatedHub::with_limits(&quiet());
    let peers = [(); 40].map(|()| hub.connect().subscribe("lobby"));
    hub.run_until_idle();
    let (mut firsts, mut lasts) = (vec![], vec![]);
    for _ in 0..40 {
        hub.publish("lobby", "x");
        hub.run_until_idle();
        let by_time = |peer: &&Peer| peer.pipe().last_write();
        firsts.push(peers.iter().min_by_key(by_time).unwrap().id().slot());
        lasts.push(peers.iter().max_by_key(by_time).unwrap().id().slot());
    }
    firsts.sort_unstable();
    lasts.sort_unstable();
    let slots = || (0..40).map(Slot::new);
    assert!(firsts.into_iter().eq(slots()) && lasts.into_iter().eq(slots()));
}

/// Without credits nothing is published anywhere, and nothing is lost.
#[test]
fn publisher_waits_for_a_shard_without_room() {
    let hub = SimulatedHub::new(2, &quiet());
    let [one, other] = [(); 2].map(|()| hub.connect().subscribe("lobby"));
    hub.run_until_idle();
    let flood = (CREDITS * CREDIT_BYTES) / 64_000;
    for number in 1..=flood as u64 {
        assert_eq!(hub.try_publish("lobby", &"x".repeat(63_999)), Ok(number));
    }
    // Only the first shard makes room: the publication enters neither inbox.
    assert_eq!(hub.try_publish("lobby", &"x".repeat(63_999)), Err(NoCredit { shard: 0 }));
    while hub.pass(0) {}
    assert_eq!(hub.try_publish("lobby", &"x".repeat(63_999)), Err(NoCredit { shard: 1 }));
    assert_eq!(hub.hub().inbox(0).depth(), 0);
    hub.run_until_idle();
    assert_eq!(hub.try_publish("lobby", "the next number"), Ok(flood as u64 + 1));
    hub.run_until_idle();
    assert_eq!(hub.received(&one), hub.received(&other));
    assert_eq!(hub.received(&one).len(), flood + 1);
    hub.end();
}

/// A slot outlives its tenants: what was meant for one must not reach the next.
#[test]
fn late_command_does_not_reach_the_next_tenant() {
    let hub = SimulatedHub::with_limits(&quiet());
    let old = hub.connect().subscribe("lobby").stalled();
    hub.publish("lobby", "x");
    hub.run_until_idle();
    old.leave();
    hub.run_until_idle();
    let new = hub.connect().subscribe("lobby");
    assert_eq!((old.id().slot(), old.id().shard()), (new.id().slot(), new.id().shard()));
    let id = old.id();
    hub.push(0, Command::Ping { id, body: "late".into() });
    hub.close(&old, CloseReason::NoPong);
    hub.push(0, Command::Disconnect { id });
    // The socket of the old tenant still holds its waker.
    old.resume();
    hub.publish("lobby", "y");
    hub.run_until_idle();
    assert_eq!((hub.received(&new), hub.closed(&new), new.pongs().len()), (vec!["y".into()], None, 0));
    assert_eq!(hub.received(&old), [""; 0]);
    hub.end();
}

/// A bug in a shard ends its connections, tells them, counts them, and leaks nothing.
#[test]
fn dropped_shard_closes_with_1011_and_gives_the_seats_back() {
    let hub = SimulatedHub::new(2, &quiet());
    let [lost, kept] = [(); 2].map(|()| hub.connect().subscribe("lobby"));
    hub.publish("lobby", "before");
    hub.run_until_idle();
    hub.restart(lost.id().shard());
    assert_eq!(hub.hub().placement().taken(), 1);
    assert_eq!((hub.closed(&lost), lost.end()), (Some(CloseReason::Internal), End::Finished));
    let counts = hub.counts(lost.id().shard());
    assert_eq!((counts.closes[CloseReason::Internal.index()], counts.connections), (1, 0));
    let new = hub.connect().subscribe("lobby");
    assert_eq!(new.id().shard(), lost.id().shard());
    hub.publish("lobby", "after");
    hub.run_until_idle();
    assert_eq!(hub.received(&kept), ["before", "after"]);
    assert_eq!(hub.received(&new), ["after"]);
    assert_eq!(hub.counts(lost.id().shard()).deliveries, 2);
    hub.end();
}
