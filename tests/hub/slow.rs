//! What the hub promises about slow consumers, one test per claim.

use crate::simulation::{End, SimulatedHub};
use std::time::Duration;
use throng::config::{HubLimits, SlowConsumer};
use throng::hub::Command;
use throng::protocol::CloseReason;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Time that a full socket has whose connection is over its bound: a tenth of `outbox_stall_max`.
const LAG_STALL: Duration = Duration::from_secs(1);

/// A lag of 64 is allowed for long, and one of 512 at all.
fn lag_of_64() -> HubLimits {
    HubLimits { outbox_bytes_max: 64, ..HubLimits::default() }
}

fn skipping(outbox_bytes_max: usize) -> HubLimits {
    HubLimits { slow_consumer: SlowConsumer::Skip, outbox_bytes_max, ..HubLimits::default() }
}

/// No pings in the way of what is tested.
fn quiet() -> HubLimits {
    HubLimits { ping_interval: seconds(3600), ..HubLimits::default() }
}

/// A slow connection must cost itself its place and cost its neighbours nothing. docs/threats.md, row 15.
#[test]
fn lagging_subscriber_is_evicted_and_no_other() {
    let hub = SimulatedHub::with_limits(&lag_of_64());
    let slow = hub.connect().subscribe("lobby").stalled();
    let fast = hub.connect().subscribe("lobby");

    hub.publish("lobby", "x".repeat(40));
    hub.publish("lobby", "y".repeat(40));
    hub.advance(LAG_STALL);

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
        hub.advance(LAG_STALL);
        slow.resume();
        hub.run_until_idle();
        assert_eq!(hub.closed(&slow), outcome);
        hub.end();
    }
}

/// Eight times the bound is what memory allows: no time is given beyond it. Lag that grows while the connection is
/// parked is judged at once.
#[test]
fn lag_of_a_parked_subscriber_is_judged_at_every_publication() {
    for (len, outcome) in [(479, None), (480, Some(CloseReason::SlowConsumer))] {
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

/// A batch larger than the bound does not make a connection slow if its socket takes it, whatever else waits for it.
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
    let hub = SimulatedHub::with_limits(&HubLimits { outbox_bytes_max: 64 * 1024, ..quiet() });
    let slow = hub.connect().subscribe("lobby").stalled();
    (0..400).for_each(|_| hub.publish("lobby", "x".repeat(999)));
    let trickle = |times| {
        for _ in 0..times {
            slow.pipe().drain(1);
            hub.advance(milliseconds(100));
        }
    };
    trickle(99);
    assert_eq!(hub.counts(0).closes.iter().sum::<u64>(), 0);
    trickle(2);
    slow.resume();
    hub.run_until_idle();
    assert_eq!(hub.closed(&slow), Some(CloseReason::SlowConsumer));
}

/// A backend that sends 2 MB at once must not throw out its audience, nor itself: both read as fast as their event
/// loops allow, which are busy for most of a second first. docs/threats.md, row 15.
#[test]
fn subscribers_that_drain_survive_a_burst_of_2_mb() {
    for slow_consumer in [SlowConsumer::Close, SlowConsumer::Skip] {
        let hub = SimulatedHub::with_limits(&HubLimits { slow_consumer, ..HubLimits::default() });
        let audience = [hub.connect(), hub.connect()].map(|peer| peer.subscribe("lobby").stalled());
        let lines: Vec<_> = (0..20_000).map(|number| format!("{number:0>95}")).collect();
        for line in &lines {
            hub.publish("lobby", line);
        }
        hub.advance(milliseconds(900));
        assert!(hub.counts(0).lag_bytes > 1 << 20, "they lag by more than the bound");
        for _ in 0..40 {
            audience.iter().for_each(|peer| peer.pipe().drain(64 * 1024));
            hub.advance(milliseconds(50));
        }
        for peer in &audience {
            assert_eq!((hub.closed(peer), hub.received(peer) == lines), (None, true));
        }
        assert_eq!(hub.counts(0).skipped, 0);
        hub.end();
    }
}

/// In the same burst, one whose socket takes nothing for a second is not given more time.
#[test]
fn subscriber_that_stalls_in_a_burst_is_closed() {
    let hub = SimulatedHub::with_limits(&quiet());
    let slow = hub.connect().subscribe("lobby").stalled();
    (0..20_000).for_each(|_| hub.publish("lobby", "x".repeat(95)));
    hub.advance(milliseconds(950));
    assert_eq!(hub.counts(0).closes.iter().sum::<u64>(), 0);
    hub.advance(milliseconds(50));
    slow.resume();
    hub.run_until_idle();
    assert_eq!(hub.closed(&slow), Some(CloseReason::SlowConsumer));
}

/// The time over the bound begins anew once a subscriber was below it.
#[test]
fn subscriber_that_caught_up_between_two_bursts_has_its_time_again() {
    let hub = SimulatedHub::with_limits(&HubLimits { outbox_bytes_max: 64 * 1024, ..quiet() });
    let slow = hub.connect().subscribe("lobby").stalled();
    for _ in 0..3 {
        (0..300).for_each(|_| hub.publish("lobby", "x".repeat(999)));
        for _ in 0..8 {
            slow.pipe().drain(1);
            hub.advance(milliseconds(900));
        }
        // Almost all, so that it stays parked.
        slow.pipe().drain(290_000);
        hub.advance(milliseconds(100));
    }
    assert_eq!(hub.counts(0).closes.iter().sum::<u64>(), 0);
    slow.resume();
    hub.run_until_idle();
    assert_eq!((hub.closed(&slow), hub.received(&slow).len()), (None, 900));
}

/// Whoever drains and however slowly, the log of a channel keeps eight times the bound and what one pass appends.
#[test]
fn memory_of_a_burst_is_bounded_whatever_its_subscribers_take() {
    const BOUND: usize = 64 * 1024;
    for slow_consumer in [SlowConsumer::Close, SlowConsumer::Skip] {
        let limits = HubLimits { slow_consumer, outbox_bytes_max: BOUND, ..quiet() };
        let hub = SimulatedHub::with_limits(&limits);
        let slow = hub.connect().subscribe("lobby").stalled();
        let mut longest = 0;
        for _ in 0..500 {
            (0..64).for_each(|_| hub.publish("lobby", "x".repeat(999)));
            slow.pipe().drain(1);
            hub.advance(milliseconds(50));
            longest = longest.max(hub.counts(0).lag_bytes);
        }
        let (hard, pass) = (8 * BOUND as u64, 256 * 1024);
        assert!((hard / 2..=hard + pass).contains(&longest), "{longest} bytes");
        let (closes, skipped) = (hub.counts(0).closes[CloseReason::SlowConsumer.index()], hub.counts(0).skipped);
        assert_eq!((closes, skipped > 0), if slow_consumer == SlowConsumer::Close { (1, false) } else { (0, true) });
        slow.resume();
        hub.end();
    }
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
    hub.advance(LAG_STALL);
    slow.resume();
    hub.run_until_idle();
    hub.publish("lobby", "after");
    hub.run_until_idle();
    let notice = " [throng] 3 messages skipped: this connection is too slow";
    assert_eq!(hub.received(&slow), ["half written", notice, "after"]);
    assert_eq!((hub.counts(0).skipped, hub.counts(0).deliveries), (3, 2));
    hub.end();
}

/// Publications after a gap come after its notice, also if an earlier notice was still waiting.
#[test]
fn second_gap_is_told_before_what_follows_it() {
    let hub = SimulatedHub::with_limits(&skipping(64));
    let slow = hub.connect().subscribe("lobby").stalled();
    hub.publish("lobby", "missed".repeat(20));
    hub.advance(LAG_STALL);
    // Writable for no byte at all: the notice is made and does not leave.
    slow.pipe().wake_in_vain();
    hub.run_until_idle();
    for text in ["missed".repeat(20), "kept".to_owned()] {
        hub.publish("lobby", text);
        hub.advance(milliseconds(50));
    }
    slow.resume();
    hub.run_until_idle();
    assert_eq!(hub.received(&slow), [" [throng] 2 messages skipped: this connection is too slow", "kept"]);
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
    hub.advance(LAG_STALL);
    slow.resume();
    hub.run_until_idle();
    assert_eq!(hub.closed(&slow), Some(CloseReason::SlowConsumer));
}

/// Bytes alone do not bound a connection: a quiet channel would keep a dead peer.
#[test]
fn stall_up_to_the_limit_stays_and_longer_is_closed() {
    let hub = SimulatedHub::with_limits(&quiet());
    let slow = hub.connect().subscribe("lobby").stalled();
    let trickling = hub.connect().subscribe("lobby").stalled();
    hub.publish("lobby", "x".repeat(100));
    hub.run_until_idle();
    hub.advance(milliseconds(9900));
    assert_eq!(hub.counts(0).closes.iter().sum::<u64>(), 0);
    trickling.pipe().drain(1);
    hub.advance(milliseconds(100));
    slow.resume();
    trickling.resume();
    hub.run_until_idle();
    assert_eq!(hub.closed(&slow), Some(CloseReason::SlowConsumer));
    assert_eq!((hub.closed(&trickling), hub.received(&trickling)), (None, vec!["x".repeat(100)]));
}

/// A ping that cannot be sent is not a ping that was not answered: the stall has its own limit.
#[test]
fn stalled_subscriber_has_its_time_whatever_the_pings() {
    let hub = SimulatedHub::with_limits(&HubLimits::default());
    let slow = hub.connect().subscribe("lobby").stalled();
    hub.publish("lobby", "x".repeat(100));
    hub.advance(milliseconds(9900));
    assert_eq!(hub.counts(0).closes.iter().sum::<u64>(), 0);
    hub.advance(milliseconds(200));
    slow.resume();
    hub.run_until_idle();
    assert_eq!(hub.closed(&slow), Some(CloseReason::SlowConsumer));
}

/// Under the policy `skip` nothing but a round of pings ends a peer that is gone without a word.
#[test]
fn skipping_subscriber_out_of_reach_for_a_round_is_closed() {
    let hub = SimulatedHub::with_limits(&HubLimits { ping_interval: seconds(54), ..skipping(1000) });
    let gone = hub.connect().subscribe("lobby").stalled();
    hub.publish("lobby", "x");
    hub.advance(seconds(40));
    assert_eq!(hub.counts(0).closes.iter().sum::<u64>(), 0);
    hub.advance(seconds(70));
    assert_eq!(hub.counts(0).closes[CloseReason::NoPong.index()], 1);
    drop(gone);
}

/// The policy skip leaves a stalled connection alone: its lag is bounded in bytes.
#[test]
fn skipping_subscriber_may_stall() {
    let hub = SimulatedHub::with_limits(&HubLimits { ping_interval: seconds(3600), ..skipping(1000) });
    let slow = hub.connect().subscribe("lobby").stalled();
    hub.publish("lobby", "late");
    hub.advance(seconds(30));
    slow.resume();
    hub.run_until_idle();
    assert_eq!((hub.closed(&slow), hub.received(&slow)), (None, vec!["late".into()]));
}

/// The bounds of a full socket must not keep the reason from a peer that comes back to reading.
#[test]
fn evicted_subscriber_gets_its_close_frame_into_a_full_socket() {
    let hub = SimulatedHub::with_limits(&lag_of_64());
    let slow = hub.connect().subscribe("lobby").stalled();
    slow.pipe().spare(1000);
    hub.publish("lobby", "x".repeat(40));
    hub.publish("lobby", "y".repeat(40));
    hub.advance(LAG_STALL);
    assert_eq!((slow.end(), hub.closed(&slow)), (End::Finished, Some(CloseReason::SlowConsumer)));
}

/// A publisher may wait for a shard, never for a subscriber.
#[test]
fn stalled_subscriber_blocks_no_publisher() {
    for limits in [quiet(), HubLimits { ping_interval: seconds(3600), ..skipping(1 << 20) }] {
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
    hub.advance(milliseconds(50));
    assert_eq!(hub.counts(0).parked, 1);
}

/// A tick may trim a log to its head between a publication and its fan-out, when no subscriber lacks it any more.
#[test]
fn log_that_a_tick_emptied_has_nothing_to_fan_out() {
    let hub = SimulatedHub::with_limits(&HubLimits::default());
    let laggard = hub.connect().subscribe("lobby").stalled();
    hub.publish("lobby", "keeps the log");
    hub.run_until_idle();

    hub.publish("lobby", "for the laggard alone");
    let late = hub.connect().subscribe("lobby");
    laggard.leave();
    hub.pause(milliseconds(50));
    hub.run_until_idle();
    assert!(late.texts().is_empty());
    hub.end();
}
