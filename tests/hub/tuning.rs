//! What an operator tunes in the hub does what it says, and delays nothing else: no socket, no clock but the test's.

use crate::simulation::{End, SimulatedHub};
use std::time::Duration;
use throng::config::{HubLimits, TuningConfig};
use throng::hub::Command;
use throng::hub::inbox::{CREDIT_BYTES, CREDITS};
use throng::protocol::CloseReason;

const MS: Duration = Duration::from_millis(1);

/// A hub of one shard in which publications wait for company, without pings.
fn delaying(coalesce_delay: Duration) -> SimulatedHub {
    let limits = HubLimits { ping_interval: Duration::from_secs(3600), ..HubLimits::default() };
    SimulatedHub::tuned(1, &limits, &TuningConfig { coalesce_delay, ..TuningConfig::default() })
}

#[test]
fn messages_within_coalesce_delay_arrive_as_one_and_without_it_the_first_leaves_at_once() {
    for (delay, expected) in [(10 * MS, &["first\nsecond"][..]), (Duration::ZERO, &["first", "second"])] {
        let hub = delaying(delay);
        let peer = hub.connect().subscribe("lobby");
        hub.publish("lobby", "first");
        hub.advance(MS);
        assert_eq!(peer.texts().len(), usize::from(delay.is_zero()));
        hub.publish("lobby", "second");
        hub.advance(9 * MS);
        assert_eq!(peer.texts(), expected);
        assert_eq!(hub.counts(0).sends, expected.len() as u64);
        hub.end();
    }
}

/// The delay counts from the oldest: a steady stream must not push it away for ever.
#[test]
fn coalesce_delay_is_not_extended_by_what_comes_during_it() {
    let hub = delaying(10 * MS);
    let peer = hub.connect().subscribe("lobby");
    for number in 0..12 {
        hub.publish("lobby", number.to_string());
        hub.advance(4 * MS);
    }
    assert_eq!(peer.texts(), ["0\n1\n2", "3\n4\n5", "6\n7\n8", "9\n10\n11"]);
}

/// Clients measure latency by pongs, and a close must not hang.
#[test]
fn coalesce_delay_holds_back_no_pong_no_close_and_no_stop() {
    let hub = delaying(100 * MS);
    let [asks, leaves, stays] = [(); 3].map(|()| hub.connect().subscribe("lobby"));
    hub.run_until_idle();
    hub.publish("lobby", "waits");
    hub.push(0, Command::Ping { id: asks.id(), body: "now".into() });
    hub.close(&leaves, CloseReason::TooManyRequests);
    hub.run_until_idle();
    assert_eq!((asks.pongs(), asks.texts()), (vec![b"now".to_vec()], vec![]));
    assert_eq!((leaves.closed(), leaves.end()), (Some(CloseReason::TooManyRequests), End::Finished));
    assert!(stays.texts().is_empty());
    hub.close_all(CloseReason::Shutdown);
    hub.run_until_idle();
    for peer in [asks, stays] {
        assert_eq!((peer.texts(), peer.closed()), (vec!["waits".to_owned()], Some(CloseReason::Shutdown)));
    }
    hub.end();
}

/// A message holds no more than 64 KiB, so waiting for more would cost memory and gain nothing.
#[test]
fn gathered_64_kib_leave_before_the_delay_is_over() {
    let hub = delaying(100 * MS);
    let peer = hub.connect().subscribe("lobby");
    // A line costs its newline too.
    hub.publish("lobby", "x".repeat(32_767));
    hub.publish("lobby", "y".repeat(32_766));
    hub.run_until_idle();
    assert!(peer.texts().is_empty());
    hub.publish("lobby", "");
    hub.run_until_idle();
    assert_eq!(peer.lines().len(), 3);
}

/// Commands are taken while publications wait: credits come back, and no publisher is held up.
#[test]
fn publications_that_wait_hold_no_credits() {
    let hub = delaying(100 * MS);
    let _peer = hub.connect().subscribe("lobby");
    hub.publish("lobby", "waits");
    hub.pass(0);
    assert_eq!(hub.hub().inbox(0).depth(), 0);
    assert!(hub.hub().inbox(0).try_credit(CREDITS * CREDIT_BYTES).is_some());
}

#[test]
fn pass_takes_pass_commands_max_and_leaves_one_more_for_the_next() {
    let tuning = TuningConfig { pass_commands_max: 3, ..TuningConfig::default() };
    let hub = SimulatedHub::tuned(1, &HubLimits::default(), &tuning);
    let peer = hub.connect().subscribe("lobby");
    hub.run_until_idle();
    for number in 0..4 {
        hub.publish("lobby", number.to_string());
    }
    hub.pass(0);
    assert_eq!(peer.texts(), ["0\n1\n2"]);
    hub.pass(0);
    assert_eq!(peer.texts(), ["0\n1\n2", "3"]);
}
