//! What the hub promises, one test per claim: no socket, no sleep, no port, no clock but the test's.

mod support;

use std::time::Duration;
use support::{End, Peer, SimulatedHub};
use throng::config::{Limits, SlowConsumer};
use throng::hub::inbox::{CREDIT_BYTES, CREDITS};
use throng::hub::{Blocked, Command};
use throng::protocol::CloseReason;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn lag_of_64() -> Limits {
    Limits { outbox_bytes_max: 64, ..Limits::default() }
}

fn skipping(outbox_bytes_max: usize) -> Limits {
    Limits { slow_consumer: SlowConsumer::Skip, outbox_bytes_max, ..Limits::default() }
}

/// No pings in the way of what is tested.
fn quiet() -> Limits {
    Limits { ping_interval: seconds(3600), ..Limits::default() }
}

/// A slow connection must cost itself its place and cost its neighbours nothing.
#[test]
fn lagging_subscriber_is_evicted_and_no_other() {
    let hub = SimulatedHub::with_limits(&lag_of_64());
    let slow = hub.connect().subscribe("lobby").stalled();
    let fast = hub.connect().subscribe("lobby");

    hub.publish("lobby", "x".repeat(40));
    hub.publish("lobby", "y".repeat(40));
    hub.run_until_idle();

    assert_eq!(hub.received(&fast), ["x".repeat(40), "y".repeat(40)]);
    slow.resume();
    hub.run_until_idle();
    assert_eq!(hub.closed(&slow), Some(CloseReason::SlowConsumer));
    assert_eq!(hub.received(&slow), [""; 0]);
    assert_eq!(hub.closed(&fast), None);
    hub.end();
}

/// The bound is inclusive: what the configuration allows is allowed. A line has one byte more than its text.
#[test]
fn lag_at_the_bound_stays_and_one_byte_more_is_closed() {
    for (len, outcome) in [(63, None), (64, Some(CloseReason::SlowConsumer))] {
        let hub = SimulatedHub::with_limits(&lag_of_64());
        let slow = hub.connect().subscribe("lobby").stalled();
        hub.publish("lobby", "x".repeat(len));
        hub.run_until_idle();
        slow.resume();
        hub.run_until_idle();
        assert_eq!(hub.closed(&slow), outcome);
        hub.end();
    }
}

/// The same, for lag that grows while the connection is parked.
#[test]
fn lag_of_a_parked_subscriber_is_judged_at_every_publication() {
    for (len, outcome) in [(31, None), (32, Some(CloseReason::SlowConsumer))] {
        let hub = SimulatedHub::with_limits(&lag_of_64());
        let slow = hub.connect().subscribe("lobby").stalled();
        for text in ["x".repeat(31), "y".repeat(len)] {
            hub.publish("lobby", text);
            hub.run_until_idle();
        }
        slow.resume();
        hub.run_until_idle();
        assert_eq!(hub.closed(&slow), outcome);
    }
}

/// A batch larger than the bound makes nobody slow whose socket takes it, whatever else waits for that connection.
#[test]
fn ready_subscriber_with_a_pong_to_get_is_not_slow() {
    let hub = SimulatedHub::with_limits(&lag_of_64());
    let peer = hub.connect().subscribe("lobby");
    hub.push(0, Command::Ping { id: peer.id(), body: "are you there".into() });
    hub.publish("lobby", "x".repeat(100));
    hub.run_until_idle();
    assert_eq!((hub.closed(&peer), hub.received(&peer)), (None, vec!["x".repeat(100)]));
    assert_eq!(peer.pongs(), [b"are you there"]);
}

/// A peer that takes a few bytes whenever it is looked at must not keep the log for ever.
#[test]
fn trickling_subscriber_does_not_escape_the_bound() {
    let hub = SimulatedHub::with_limits(&lag_of_64());
    let slow = hub.connect().subscribe("lobby").stalled();
    for _ in 0..8 {
        hub.publish("lobby", "x".repeat(30));
        slow.pipe().drain(1);
        hub.pass(0);
    }
    slow.resume();
    hub.run_until_idle();
    assert_eq!(hub.closed(&slow), Some(CloseReason::SlowConsumer));
}

/// A connection that skips learns what it missed, exactly and in its place.
#[test]
fn skipping_subscriber_is_told_exactly_how_much_it_missed() {
    let hub = SimulatedHub::with_limits(&skipping(64));
    let slow = hub.connect().subscribe("lobby");
    slow.pipe().limit(10);
    for text in ["half written", "missed 1", "missed 2", &"missed 3".repeat(10)] {
        hub.publish("lobby", text);
        hub.pass(0);
    }
    slow.resume();
    hub.run_until_idle();
    hub.publish("lobby", "after");
    hub.run_until_idle();
    let notice = "[throng] 3 messages skipped: this connection is too slow";
    assert_eq!(hub.received(&slow), ["half written", notice, "after"]);
    assert_eq!((hub.counts(0).skipped, hub.counts(0).deliveries), (3, 2));
    hub.end();
}

/// What comes behind a gap comes behind its notice, also when there was a notice on its way.
#[test]
fn second_gap_is_told_before_what_follows_it() {
    let hub = SimulatedHub::with_limits(&skipping(64));
    let slow = hub.connect().subscribe("lobby").stalled();
    hub.publish("lobby", "missed".repeat(20));
    hub.run_until_idle();
    // Writable for no byte at all: the notice is made and does not leave.
    slow.pipe().wake_in_vain();
    hub.run_until_idle();
    for text in ["missed".repeat(20), "kept".to_owned()] {
        hub.publish("lobby", text);
        hub.run_until_idle();
    }
    slow.resume();
    hub.run_until_idle();
    assert_eq!(hub.received(&slow), ["[throng] 2 messages skipped: this connection is too slow", "kept"]);
}

/// A deploy must not cost anybody a message: the close frame comes last.
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

/// A drain waits for backlogs, so the bound on backlogs holds while it lasts.
#[test]
fn draining_subscriber_beyond_the_bound_is_closed() {
    let hub = SimulatedHub::with_limits(&lag_of_64());
    let slow = hub.connect().subscribe("lobby").stalled();
    hub.publish("lobby", "x");
    hub.close_all(CloseReason::Shutdown);
    hub.run_until_idle();
    hub.publish("lobby", "y".repeat(100));
    hub.run_until_idle();
    slow.resume();
    hub.run_until_idle();
    assert_eq!(hub.closed(&slow), Some(CloseReason::SlowConsumer));
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

/// Who left is counted no more and gets nothing more, even in the pass that it leaves in.
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

/// Bytes alone do not bound a connection: a quiet channel would keep a dead peer.
#[test]
fn stall_up_to_the_limit_stays_and_longer_is_closed() {
    let hub = SimulatedHub::with_limits(&quiet());
    let slow = hub.connect().subscribe("lobby").stalled();
    let trickling = hub.connect().subscribe("lobby").stalled();
    hub.publish("lobby", "x".repeat(100));
    hub.run_until_idle();
    hub.advance(Duration::from_millis(9900));
    assert_eq!(hub.counts(0).closes.iter().sum::<u64>(), 0);
    trickling.pipe().drain(1);
    hub.advance(Duration::from_millis(100));
    slow.resume();
    trickling.resume();
    hub.run_until_idle();
    assert_eq!(hub.closed(&slow), Some(CloseReason::SlowConsumer));
    assert_eq!((hub.closed(&trickling), hub.received(&trickling)), (None, vec!["x".repeat(100)]));
}

/// The policy skip leaves a stalled connection alone: its lag is bounded in bytes.
/// A ping that can not be sent is not a ping that was not answered: the stall has its own limit.
#[test]
fn stalled_subscriber_has_its_time_whatever_the_pings() {
    let hub = SimulatedHub::with_limits(&Limits::default());
    let slow = hub.connect().subscribe("lobby").stalled();
    hub.publish("lobby", "x".repeat(100));
    hub.advance(Duration::from_millis(9900));
    assert_eq!(hub.counts(0).closes.iter().sum::<u64>(), 0);
    hub.advance(Duration::from_millis(200));
    slow.resume();
    hub.run_until_idle();
    assert_eq!(hub.closed(&slow), Some(CloseReason::SlowConsumer));
}

/// Under the policy `skip` nothing but a round of pings ends a peer that is gone without a word.
#[test]
fn skipping_subscriber_out_of_reach_for_a_round_is_closed() {
    let hub = SimulatedHub::with_limits(&Limits { ping_interval: seconds(54), ..skipping(1000) });
    let gone = hub.connect().subscribe("lobby").stalled();
    hub.publish("lobby", "x");
    hub.advance(seconds(40));
    assert_eq!(hub.counts(0).closes.iter().sum::<u64>(), 0);
    hub.advance(seconds(70));
    assert_eq!(hub.counts(0).closes[CloseReason::NoPong.index()], 1);
    drop(gone);
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

#[test]
fn skipping_subscriber_may_stall() {
    let hub = SimulatedHub::with_limits(&Limits { ping_interval: seconds(3600), ..skipping(1000) });
    let slow = hub.connect().subscribe("lobby").stalled();
    hub.publish("lobby", "late");
    hub.advance(seconds(30));
    slow.resume();
    hub.run_until_idle();
    assert_eq!((hub.closed(&slow), hub.received(&slow)), (None, vec!["late".into()]));
}

#[test]
fn missed_pong_is_closed_and_answered_ping_is_not() {
    let hub = SimulatedHub::with_limits(&Limits::default());
    let mute = hub.connect().subscribe("lobby").mute();
    let alive = hub.connect().subscribe("lobby");
    hub.advance(seconds(5));
    assert_eq!((mute.pings(), hub.closed(&mute)), (1, None));
    hub.advance(seconds(2));
    assert_eq!(hub.closed(&mute), Some(CloseReason::NoPong));
    hub.advance(seconds(120));
    assert_eq!((alive.pings(), hub.closed(&alive)), (3, None));
}

/// After SIGSTOP the answers lie unread in the sockets.
#[test]
fn pause_of_the_process_closes_nobody() {
    let hub = SimulatedHub::with_limits(&Limits::default());
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

/// The bounds of a full socket must not keep the reason from a peer that comes back to reading.
#[test]
fn evicted_subscriber_gets_its_close_frame_into_a_full_socket() {
    let hub = SimulatedHub::with_limits(&lag_of_64());
    let slow = hub.connect().subscribe("lobby").stalled();
    slow.pipe().spare(1000);
    hub.publish("lobby", "x".repeat(40));
    hub.publish("lobby", "y".repeat(40));
    hub.run_until_idle();
    assert_eq!((slow.end(), hub.closed(&slow)), (End::Finished, Some(CloseReason::SlowConsumer)));
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

/// Who is last in one round waits longest; nobody is that every time.
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
    assert!(firsts.into_iter().eq(0..40) && lasts.into_iter().eq(0..40));
}

/// A publisher may wait for a shard, never for a subscriber.
#[test]
fn stalled_subscriber_blocks_no_publisher() {
    for limits in [quiet(), Limits { ping_interval: seconds(3600), ..skipping(1 << 20) }] {
        let hub = SimulatedHub::with_limits(&limits);
        let _slow = hub.connect().subscribe("lobby").stalled();
        let fast = hub.connect().subscribe("lobby");
        for _ in 0..10_000 {
            hub.try_publish("lobby", &"x".repeat(1000)).unwrap();
            hub.pass(0);
        }
        assert_eq!(hub.received(&fast).len(), 10_000);
        hub.end();
    }
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
    assert_eq!(hub.try_publish("lobby", &"x".repeat(63_999)), Err(Blocked { shard: 0 }));
    while hub.pass(0) {}
    assert_eq!(hub.try_publish("lobby", &"x".repeat(63_999)), Err(Blocked { shard: 1 }));
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

/// A gauge counts connections, not how often they were slow.
#[test]
fn slow_connection_that_left_is_not_counted_twice() {
    let hub = SimulatedHub::with_limits(&quiet());
    let _stays = hub.connect().subscribe("lobby");
    for _ in 0..5 {
        let slow = hub.connect().subscribe("lobby").stalled();
        hub.publish("lobby", "x");
        hub.run_until_idle();
        slow.leave();
        hub.run_until_idle();
    }
    let _slow = hub.connect().subscribe("lobby").stalled();
    hub.publish("lobby", "x");
    hub.advance(Duration::from_millis(50));
    assert_eq!(hub.counts(0).parked, 1);
}
