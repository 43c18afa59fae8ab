//! The history of a channel: what those get who come late or were away, and what bounds it.

use crate::simulation::{Peer, SimulatedHub};
use serde_json::Value;
use std::time::Duration;
use throng::config::HubLimits;
use throng::hub::{MessageShape, Since};
use throng::protocol::centrifuge::Format;
use throng::protocol::position::Start;
use throng::protocol::{Encoding, Position};

const HOUR: Duration = Duration::from_secs(3600);

fn hub_that_keeps(size: usize) -> SimulatedHub {
    let hub = SimulatedHub::with_limits(&HubLimits::default());
    hub.keep(size, HOUR);
    hub
}

fn publish(hub: &SimulatedHub, lines: impl IntoIterator<Item = u32>) {
    lines.into_iter().for_each(|line| _ = hub.publish_to("lobby", &line.to_string()));
}

fn numbered(hub: &SimulatedHub) -> Peer {
    hub.connect_as(MessageShape { encoding: Encoding::NumberedLines, ..MessageShape::default() })
}

/// The offsets and the texts of a peer's lines, without the notices of the hub.
fn read(hub: &SimulatedHub, peer: &Peer) -> Vec<(u64, String)> {
    hub.run_until_idle();
    let lines = peer.lines().into_iter().filter(|line| !line.starts_with(' '));
    let split = lines.map(|line| {
        let mut parts = line.splitn(3, ' ');
        let offset = parts.next().and_then(|offset| offset.parse().ok()).expect("a line has an offset");
        assert!(parts.next().is_some_and(|time| time.parse::<u64>().is_ok()), "{line}");
        (offset, parts.next().unwrap_or_default().to_owned())
    });
    split.collect()
}

fn lines(range: std::ops::RangeInclusive<u64>) -> Vec<(u64, String)> {
    range.map(|line| (line, line.to_string())).collect()
}

/// Where a client that has read up to an offset goes on.
fn after(start: Start, offset: u64) -> Since {
    let position = Position { offset, ..start.position.expect("the channel has a history") };
    Since::After { position, or_newest: 0 }
}

#[test]
fn newest_lines_come_first_and_then_what_is_published() {
    let hub = hub_that_keeps(10);
    publish(&hub, 1..=20);
    let late = hub.connect();
    assert_eq!(late.subscribe_since("lobby", Since::Newest(3)).publications, 3);
    publish(&hub, 21..=21);
    hub.run_until_idle();
    assert_eq!(late.lines(), ["18", "19", "20", "21"]);
    hub.sweep();
}

#[test]
fn client_that_returns_gets_exactly_what_it_missed() {
    let hub = hub_that_keeps(100);
    let first = numbered(&hub);
    let start = first.subscribe_since("lobby", Since::Now);
    publish(&hub, 1..=5);
    assert_eq!(read(&hub, &first), lines(1..=5));
    first.leave();
    publish(&hub, 6..=9);
    let again = numbered(&hub);
    let recovered = again.subscribe_since("lobby", after(start, 5));
    assert_eq!((recovered.is_recovered, recovered.publications), (Some(true), 4));
    publish(&hub, 10..=10);
    assert_eq!(read(&hub, &again), lines(6..=10));
}

#[test]
fn client_that_missed_nothing_is_told_so() {
    let hub = hub_that_keeps(100);
    publish(&hub, 1..=5);
    let peer = numbered(&hub);
    let start = peer.subscribe_since("lobby", Since::Now);
    let again = numbered(&hub).subscribe_since("lobby", after(start, 5));
    assert_eq!((again.is_recovered, again.publications), (Some(true), 0));
}

/// Recovery is all or nothing: a gap is never hidden.
#[test]
fn what_cannot_be_recovered_whole_is_declared() {
    let hub = hub_that_keeps(10);
    publish(&hub, 1..=20);
    let start = numbered(&hub).subscribe_since("lobby", Since::Now);
    for (since, is_recovered, publications) in [
        (after(start, 10), true, 10),
        (after(start, 9), false, 0),
        (after(start, 0), false, 0),
        // Further than the channel is: not a position of it.
        (after(start, 21), false, 0),
    ] {
        let again = numbered(&hub).subscribe_since("lobby", since);
        assert_eq!((again.is_recovered, again.publications), (Some(is_recovered), publications), "{since:?}");
    }
    let Since::After { position, .. } = after(start, 0) else { panic!("it is one") };
    let newest_instead = Since::After { position, or_newest: 2 };
    let peer = numbered(&hub);
    assert_eq!(peer.subscribe_since("lobby", newest_instead).publications, 2);
    assert_eq!(read(&hub, &peer), lines(19..=20));
}

/// More than a client may be sent at once: it has to begin anew.
#[test]
fn too_much_to_recover_is_not_recovered() {
    let hub = hub_that_keeps(1000);
    publish(&hub, 1..=400);
    let start = numbered(&hub).subscribe_since("lobby", Since::Now);
    assert_eq!(numbered(&hub).subscribe_since("lobby", after(start, 100)).is_recovered, Some(true));
    assert_eq!(numbered(&hub).subscribe_since("lobby", after(start, 99)).is_recovered, Some(false));
    let hub = hub_that_keeps(1000);
    let long = "x".repeat(100_000);
    (0..20).for_each(|_| _ = hub.publish_to("lobby", &long));
    let start = numbered(&hub).subscribe_since("lobby", Since::Now);
    assert_eq!(numbered(&hub).subscribe_since("lobby", after(start, 10)).is_recovered, Some(true));
    assert_eq!(numbered(&hub).subscribe_since("lobby", after(start, 9)).is_recovered, Some(false));
}

/// An old offset must not be mistaken for one of a channel made anew.
#[test]
fn position_of_another_incarnation_is_not_recovered() {
    let hub = hub_that_keeps(10);
    publish(&hub, 1..=5);
    let peer = numbered(&hub);
    let start = peer.subscribe_since("lobby", Since::Now);
    peer.leave();
    hub.pause(HOUR);
    hub.sweep();
    assert!(hub.hub().directory().is_empty(), "its history is over and nobody is there");
    publish(&hub, 1..=5);
    assert_eq!(numbered(&hub).subscribe_since("lobby", after(start, 3)).is_recovered, Some(false));
}

/// The only client of a channel in which nothing was published yet: nothing is kept for it, and it misses nothing.
#[test]
fn position_in_an_empty_channel_is_recovered_though_the_channel_was_gone() {
    let hub = hub_that_keeps(10);
    let peer = numbered(&hub);
    let start = peer.subscribe_since("lobby", Since::Now);
    peer.leave();
    hub.run_until_idle();
    assert!(hub.hub().directory().is_empty(), "nobody needs it");
    publish(&hub, 1..=3);
    let again = numbered(&hub).subscribe_since("lobby", after(start, 0));
    assert_eq!((again.is_recovered, again.publications), (Some(true), 3));
}

#[test]
fn channel_with_history_outlives_its_subscribers_until_the_history_is_over() {
    let hub = hub_that_keeps(10);
    let peer = hub.connect().subscribe("lobby");
    publish(&hub, 1..=1);
    peer.leave();
    hub.sweep();
    assert_eq!(hub.hub().directory().len(), 1);
    hub.pause(HOUR - Duration::from_secs(1));
    hub.sweep();
    assert_eq!(hub.hub().directory().len(), 1);
    hub.pause(Duration::from_secs(1));
    hub.sweep();
    assert!(hub.hub().directory().is_empty());
    assert_eq!(hub.hub().history_bytes(), 0);
}

/// What is asked for is exact, however long the last sweep is ago.
#[test]
fn too_old_lines_are_not_sent() {
    let hub = hub_that_keeps(10);
    publish(&hub, 1..=2);
    hub.pause(HOUR / 2);
    publish(&hub, 3..=3);
    hub.pause(HOUR / 2);
    let late = hub.connect();
    late.subscribe_since("lobby", Since::Newest(10));
    hub.run_until_idle();
    assert_eq!(late.lines(), ["3"]);
}

#[test]
fn nothing_is_kept_without_history() {
    let hub = hub_that_keeps(0);
    assert_eq!(hub.publish_to("lobby", "nobody is there"), None);
    assert!(hub.hub().directory().is_empty());
    let peer = numbered(&hub);
    assert_eq!(peer.subscribe_since("lobby", Since::Newest(10)).position, None);
    hub.publish_to("lobby", "x").expect("somebody is there");
    hub.run_until_idle();
    assert_eq!(peer.lines()[0], " [throng] position none 0");
    assert_eq!(hub.hub().history_bytes(), 0);
}

/// A flood in one channel costs that channel its history, not the others.
#[test]
fn budget_holds_under_a_flood_and_spares_small_histories() {
    let budget = 100_000;
    let hub = SimulatedHub::with_limits(&HubLimits { history_bytes_max: budget, ..HubLimits::default() });
    hub.keep(100_000, HOUR);
    for channel in 0..10 {
        (0..10).for_each(|line| _ = hub.publish_to(&format!("small{channel}"), &line.to_string()));
    }
    for line in 0..20_000 {
        hub.publish_to("flood", &line.to_string());
        assert!(hub.hub().history_bytes() <= budget, "at line {line}");
    }
    let evicted = hub.hub().metrics().process.read().history_evicted;
    assert!(evicted > 10_000, "{evicted}");
    for channel in 0..10 {
        let start = hub.connect().subscribe_since(&format!("small{channel}"), Since::Newest(100));
        assert_eq!(start.publications, 10, "channel {channel}");
    }
    let kept = hub.connect().subscribe_since("flood", Since::Newest(300));
    assert_eq!(kept.publications, 300, "the flood keeps its newest");
}

/// What a client gets first is paid for like a publication, so that many who return do not fill the memory.
#[test]
fn backlog_is_paid_for_and_given_back() {
    let hub = hub_that_keeps(100);
    (0..20).for_each(|_| _ = hub.publish_to("lobby", &"x".repeat(1000)));
    let before = hub.hub().inbox(0).bytes();
    let peer = hub.connect();
    peer.subscribe_since("lobby", Since::Newest(20));
    assert!(hub.hub().inbox(0).bytes() - before > 20_000);
    hub.run_until_idle();
    assert_eq!(hub.hub().inbox(0).bytes(), 0);
    assert_eq!(peer.lines().len(), 20);
}

/// A full socket takes its backlog later, before what was published since.
#[test]
fn backlog_that_does_not_fit_the_socket_waits_and_stays_in_order() {
    for bite in [0, 1, 2, 3, 100, 1000] {
        let hub = hub_that_keeps(100);
        publish(&hub, 1..=50);
        let peer = numbered(&hub);
        peer.pipe().limit(bite);
        peer.subscribe_since("lobby", Since::Newest(50));
        publish(&hub, 51..=60);
        hub.run_until_idle();
        peer.resume();
        assert_eq!(read(&hub, &peer), lines(1..=60), "{bite} bytes at first");
    }
}

#[test]
fn subscribers_of_every_encoding_share_one_order() {
    let hub = hub_that_keeps(10);
    let (json, protobuf) = (Encoding::Centrifuge(Format::Json), Encoding::Centrifuge(Format::Protobuf));
    let shapes = [Encoding::Lines, Encoding::NumberedLines, Encoding::Frames, json, protobuf];
    let shapes = shapes.map(|encoding| MessageShape { encoding, ..MessageShape::default() });
    let [plain, numbered, frames, json, protobuf] = shapes.map(|shape| hub.connect_as(shape).subscribe("lobby"));
    publish(&hub, 1..=4);
    assert_eq!(read(&hub, &numbered), lines(1..=4));
    assert_eq!(plain.lines(), ["1", "2", "3", "4"]);
    assert_eq!(frames.texts(), ["1", "2", "3", "4"], "one message each");
    let push = |number| format!(r#"{{"push":{{"channel":"lobby","pub":{{"offset":{number},"data":"{number}"}}}}}}"#);
    assert_eq!(json.texts(), [(1..=4).map(push).collect::<Vec<_>>().join("\n")], "one message for all");
    let values =
        |peer: &Peer| peer.lines().iter().map(|line| serde_json::from_str(line).expect("JSON")).collect::<Vec<Value>>();
    assert_eq!(protobuf.texts().len(), 1, "one message for all");
    assert_eq!(values(&protobuf), values(&json));
    // Each encoding goes with its last subscriber, in any order.
    for gone in [&json, &numbered, &protobuf, &plain] {
        gone.leave();
        publish(&hub, 5..=5);
        hub.run_until_idle();
    }
    assert_eq!(frames.texts().len(), 8);
}

/// What JSON escapes is longer than what was published, and is paid for all the same.
#[test]
fn backlog_that_grows_as_json_is_paid_for() {
    let hub = hub_that_keeps(10);
    let text = "\u{1}".repeat(1000);
    hub.publish_to("lobby", &text);
    let json = hub.connect_as(MessageShape { encoding: Encoding::Centrifuge(Format::Json), ..MessageShape::default() });
    json.subscribe_since("lobby", Since::Newest(1));
    hub.run_until_idle();
    let [push] = &json.lines()[..] else { panic!("not one push") };
    let push: Value = serde_json::from_str(push).expect("JSON");
    assert_eq!(push["push"]["pub"]["data"], text);
    hub.end();
}

#[test]
fn unsubscribed_channel_is_silent_and_the_others_go_on() {
    let hub = hub_that_keeps(0);
    let peer = hub.connect().subscribe("lobby").subscribe("other");
    let stays = hub.connect().subscribe("lobby");
    hub.publish("lobby", "before");
    hub.run_until_idle();
    peer.unsubscribe("lobby");
    hub.publish("lobby", "after");
    hub.publish("other", "still here");
    hub.run_until_idle();
    assert_eq!(peer.lines(), ["before", "still here"]);
    assert_eq!(stays.lines(), ["before", "after"]);
    let again = peer.subscribe("lobby");
    hub.publish("lobby", "again");
    hub.run_until_idle();
    assert_eq!(again.lines(), ["before", "still here", "again"]);
    hub.end();
}
