//! Subscriptions of clients that know their positions: one that lags ends, and its client makes it again.

use crate::simulation::{Peer, SimulatedHub};
use serde_json::Value;
use std::time::Duration;
use throng::config::{HubLimits, SlowConsumer};
use throng::hub::{MessageShape, OnLag, Since};
use throng::protocol::centrifuge::Format;
use throng::protocol::position::Start;
use throng::protocol::{CloseReason, Encoding, Position};

/// Time that a full socket has whose connection is over its bound: a tenth of `outbox_stall_max`.
const LAG_STALL: Duration = Duration::from_secs(1);

const HOUR: Duration = Duration::from_secs(3600);

/// Everything in the room of one connection, whatever the policy for slow consumers.
fn hubs() -> [SimulatedHub; 2] {
    [SlowConsumer::Close, SlowConsumer::Skip].map(|slow_consumer| {
        let limits = HubLimits { outbox_bytes_max: 1000, slow_consumer, ping_interval: HOUR, ..HubLimits::default() };
        let hub = SimulatedHub::with_limits(&limits);
        hub.keep(100, HOUR);
        hub
    })
}

fn connect(hub: &SimulatedHub, on_lag: OnLag) -> Peer {
    let encoding = Encoding::Centrifuge(Format::Json);
    hub.connect_as(MessageShape { encoding, ..MessageShape::default() }).on_lag(on_lag)
}

fn publish(hub: &SimulatedHub, channel: &str, lines: impl IntoIterator<Item = u32>) {
    lines.into_iter().for_each(|line| _ = hub.publish_to(channel, &line.to_string()));
    hub.run_until_idle();
}

/// The channels and the texts of a peer's publications.
fn read(peer: &Peer) -> Vec<(String, u32)> {
    let publication = |line: String| {
        let push: Value = serde_json::from_str(&line).expect("a push");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        (text(&push["push"]["channel"]), text(&push["push"]["pub"]["data"]).parse().expect("a number"))
    };
    peer.lines().into_iter().map(publication).collect()
}

fn of(channel: &str, lines: std::ops::RangeInclusive<u32>) -> Vec<(String, u32)> {
    lines.map(|line| (channel.to_owned(), line)).collect()
}

/// What a hub says of the subscriptions that have ended.
fn lagging(hub: &SimulatedHub) -> Vec<(String, String)> {
    hub.hub().take_lagging().into_iter().map(|(id, channel)| (id.to_string(), channel.name().to_string())).collect()
}

/// Where a client goes on that has read up to an offset.
fn after(start: Start, offset: u64) -> Since {
    Since::After { position: Position { offset, ..start.position.expect("it has a history") }, or_newest: 0 }
}

/// The connection stays, with its other channels, and the client gets everything once it asks again.
#[test]
fn lagging_subscription_ends_and_recovers_on_its_connection() {
    for hub in hubs() {
        let slow = connect(&hub, OnLag::Resubscribe);
        let [start, _] = ["busy", "quiet"].map(|channel| slow.subscribe_since(channel, Since::Now));
        publish(&hub, "busy", 1..=3);
        slow.pipe().limit(0);
        publish(&hub, "busy", 4..=50);
        publish(&hub, "quiet", 1..=1);
        hub.advance(LAG_STALL);
        assert_eq!(lagging(&hub), [(slow.id().to_string(), "busy".to_owned())], "told once, and of that channel only");
        assert_eq!((lagging(&hub), hub.counts(0).skipped), (vec![], 47));
        publish(&hub, "busy", 51..=60);
        hub.advance(LAG_STALL);
        assert!(hub.counts(0).log_bytes < 100, "nothing is kept for it but what is quiet");
        slow.resume();
        hub.run_until_idle();
        assert_eq!((hub.closed(&slow), read(&slow)), (None, [of("busy", 1..=3), of("quiet", 1..=1)].concat()));

        slow.unsubscribe("busy");
        let again = slow.subscribe_since("busy", after(start, 3));
        assert_eq!((again.is_recovered, again.publications), (Some(true), 57));
        publish(&hub, "busy", 61..=61);
        assert_eq!(read(&slow)[4..], of("busy", 4..=61), "in order, once each");
        hub.end();
    }
}

/// Half a frame on the wire is finished, and nothing of the channel follows it.
#[test]
fn subscription_that_ends_in_the_middle_of_a_frame_leaves_a_whole_one() {
    for hub in hubs() {
        let slow = connect(&hub, OnLag::Resubscribe);
        slow.subscribe_since("busy", Since::Now);
        slow.pipe().limit(10);
        publish(&hub, "busy", 1..=1);
        publish(&hub, "busy", 2..=50);
        hub.advance(LAG_STALL);
        assert_eq!(lagging(&hub).len(), 1);
        slow.resume();
        hub.run_until_idle();
        assert_eq!((hub.closed(&slow), read(&slow)), (None, of("busy", 1..=1)));
        hub.end();
    }
}

/// A client that has not made a subscription cannot make it again: it connects again.
#[test]
fn connection_ends_where_its_client_cannot_subscribe_again() {
    for (on_lag, expected) in
        [(OnLag::Reconnect, CloseReason::InsufficientState), (OnLag::Policy, CloseReason::SlowConsumer)]
    {
        for hub in hubs() {
            let slow = connect(&hub, on_lag);
            slow.subscribe_since("busy", Since::Now);
            let slow = slow.on_lag(OnLag::Resubscribe);
            slow.subscribe_since("other", Since::Now);
            slow.pipe().limit(0);
            publish(&hub, "busy", 1..=50);
            publish(&hub, "other", 1..=50);
            hub.advance(LAG_STALL);
            slow.resume();
            hub.run_until_idle();
            assert_eq!((hub.closed(&slow), lagging(&hub)), (Some(expected), vec![]));
            hub.end();
        }
    }
}

/// Time is given up to eight times the bound, and none beyond it, as to every connection.
#[test]
fn subscription_far_beyond_the_bound_ends_at_once() {
    for hub in hubs() {
        let slow = connect(&hub, OnLag::Resubscribe);
        slow.subscribe_since("busy", Since::Now);
        slow.pipe().limit(0);
        publish(&hub, "busy", 1..=50);
        assert_eq!(lagging(&hub), []);
        publish(&hub, "busy", 51..=300);
        assert_eq!(lagging(&hub).len(), 1);
        hub.end();
    }
}

/// A pass may find a connection to lag in each of its channels: what the first time has ended is no reason to close it.
#[test]
fn connection_that_is_found_to_lag_twice_in_a_pass_stays() {
    for hub in hubs() {
        let slow = connect(&hub, OnLag::Resubscribe);
        ["busy", "other"].into_iter().for_each(|channel| _ = slow.subscribe_since(channel, Since::Now));
        slow.pipe().limit(0);
        ["busy", "other"].into_iter().for_each(|channel| publish(&hub, channel, 1..=50));
        assert_eq!(lagging(&hub), []);
        for line in 51..=300_u32 {
            ["busy", "other"].into_iter().for_each(|channel| _ = hub.publish_to(channel, &line.to_string()));
        }
        hub.run_until_idle();
        assert_eq!(lagging(&hub).len(), 2);
        slow.resume();
        hub.run_until_idle();
        assert_eq!((hub.closed(&slow), read(&slow)), (None, vec![]));
        hub.end();
    }
}

/// A socket that takes nothing at all is closed as ever, although nothing waits for it but a frame.
#[test]
fn connection_that_takes_nothing_is_closed_after_its_subscription() {
    let [hub, _] = hubs();
    let slow = connect(&hub, OnLag::Resubscribe);
    slow.subscribe_since("busy", Since::Now);
    slow.pipe().limit(10);
    publish(&hub, "busy", 1..=1);
    publish(&hub, "busy", 2..=50);
    hub.advance(10 * LAG_STALL);
    assert_eq!(lagging(&hub).len(), 1);
    slow.resume();
    hub.run_until_idle();
    assert_eq!(hub.closed(&slow), Some(CloseReason::SlowConsumer));
    hub.end();
}

/// Positions of a channel that has subscribers stay valid, so no subscription has to end because of its epoch.
#[test]
fn epoch_of_a_channel_with_subscribers_does_not_change() {
    let [hub, _] = hubs();
    let first = connect(&hub, OnLag::Resubscribe).subscribe_since("busy", Since::Now);
    publish(&hub, "busy", 1..=5);
    hub.hub().remove_history(&throng::protocol::ChannelName::parse("busy").unwrap());
    publish(&hub, "busy", 6..=6);
    hub.reload(|options| options.history_size = 0);
    publish(&hub, "busy", 7..=7);
    hub.reload(|options| options.history_size = 10);
    publish(&hub, "busy", 8..=9);
    let again = connect(&hub, OnLag::Resubscribe).subscribe_since("busy", after(first, 7));
    assert_eq!(again.position, Some(Position { offset: 9, ..first.position.unwrap() }));
    assert_eq!((again.is_recovered, again.publications), (Some(true), 2));
    let lost = connect(&hub, OnLag::Resubscribe).subscribe_since("busy", after(first, 6));
    assert_eq!((lost.is_recovered, lost.publications), (Some(false), 0), "what was not kept is declared");
    hub.end();
}
