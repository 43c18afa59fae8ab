//! A delivery allocates nothing, and the cost of a publication does not depend on the number of receivers.
//!
//! A part of the gate, see `benches/README.md`: exact numbers, no clock.

#[path = "common/null.rs"]
mod null;

use futures_util::FutureExt;
use null::Null;
use std::io::IoSlice;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;
use throng::config::HubLimits;
use throng::engine::Engine;
use throng::hub::{Channel, Hub, MessageShape, Sent, Shard, Since, Sink, SubscribeOptions};
use throng::metrics::Metrics;
use throng::protocol::{ChannelName, DecoderLimits, FrameDecoder, Payload};
use throng::session::{Flow, OpenOptions, Protocol, Publishing, Session};

const TEXT: &[u8] = b"a message of the usual size";

/// A peer whose socket is full from the start.
#[derive(Debug)]
struct Full;

impl Sink for Full {
    fn send(&mut self, _: &[u8]) -> Sent {
        Sent::Short(0)
    }

    fn send_vectored(&mut self, _: &[IoSlice<'_>]) -> Sent {
        Sent::Short(0)
    }

    fn poll_writable(&mut self, _: &Waker) -> Poll<()> {
        Poll::Pending
    }

    fn finish(&mut self) {}

    fn abort(&mut self) {}
}

fn lobby() -> ChannelName {
    ChannelName::parse("lobby").expect("a good name")
}

/// A hub of one shard without a subscriber.
fn empty_hub<S: Sink>(connections_max: usize) -> (Hub<S>, Shard<S>) {
    // No client answers a ping here, and none is closed for it while a test runs.
    let pong_timeout = Duration::from_secs(53);
    let limits = HubLimits { connections_max, pong_timeout, ..HubLimits::default() };
    let (hub, mut shards) = Hub::new(&limits, Arc::new(Metrics::new(1)));
    (hub, shards.remove(0))
}

/// A hub of one shard with that many subscribers of one channel.
fn hub<S: Sink>(subscribers: usize, sink: impl Fn() -> S) -> (Hub<S>, Shard<S>, Arc<Channel>) {
    let (hub, mut shard) = empty_hub(subscribers);
    let mut channel = None;
    for _ in 0..subscribers {
        let credit = || hub.inbox(0).try_credit(0).expect("the shard runs after every connection");
        let id = hub.connect(hub.reserve_slot().expect("there is room"), sink(), MessageShape::default(), credit());
        channel =
            Some(hub.subscribe(id, &lobby(), &SubscribeOptions::default(), credit()).expect("there is room").channel);
        pass(&mut shard);
    }
    (hub, shard, channel.expect("there is a subscriber"))
}

fn pass<S: Sink>(shard: &mut Shard<S>) {
    pass_at(shard, Duration::ZERO);
}

fn pass_at<S: Sink>(shard: &mut Shard<S>, now: Duration) {
    shard.begin_pass(now);
    while shard.step() {}
    shard.end_pass(Duration::ZERO);
}

fn publish<S: Sink>(hub: &Hub<S>, channel: &Arc<Channel>) {
    let line = Payload::line(TEXT).expect("it is text");
    hub.publish(channel, &line, &mut hub.credits(line.len())).expect("there is room");
}

/// Allocations of one publication to that many subscribers, from the received text to the last socket.
fn allocations(subscribers: usize) -> u64 {
    let (hub, mut shard, channel) = hub(subscribers, || Null);
    let mut publish_and_pass = || {
        publish(&hub, &channel);
        pass(&mut shard);
    };
    // The first one makes the log's chunk and the frame's buffer, which stay.
    publish_and_pass();
    let cost = allocation_counter::measure(publish_and_pass);
    assert_eq!(hub.metrics().shards()[0].read().deliveries, 2 * subscribers as u64);
    cost.count_total
}

/// Invariant: no allocation per delivery. Recorded: the encoded line, and what shares it with the shards.
#[test]
fn publication_costs_two_allocations_however_many_receive_it() {
    for subscribers in [1, 10, 1_000, 10_000] {
        assert_eq!(allocations(subscribers), 2, "{subscribers} subscribers");
    }
}

/// Begins a session of the chat protocol.
fn session(hub: &Hub<Null>) -> Session<Null> {
    let name = lobby();
    let opened = Session::open(
        Engine::Memory(hub.clone()),
        hub.reserve_slot().expect("there is room"),
        Null,
        OpenOptions {
            protocol: Protocol::Chat,
            shape: MessageShape::default(),
            since: Since::Now,
            is_rate_limited: false,
            channel: Arc::clone(hub.default_options()),
            info: None,
            publishing: Publishing::Allowed(u32::MAX),
        },
        &name,
    );
    opened.now_or_never().expect("there are credits").expect("there is room")
}

/// Thousands of clients may connect at once. Recorded: what a session holds, and nothing that is thrown away.
#[test]
fn session_that_begins_costs_a_few_allocations() {
    let (hub, mut shard) = empty_hub(2);
    let _first = session(&hub);
    pass(&mut shard);
    let mut second = None;
    let cost = allocation_counter::measure(|| second = Some(session(&hub)));
    assert!(cost.count_total <= 8, "{} allocations", cost.count_total);
}

/// What happens before the hub allocates nothing: a frame is unmasked and read where it lies.
#[test]
fn inbound_message_costs_no_more_than_its_publication() {
    let (hub, mut shard) = empty_hub(1);
    let mut session = session(&hub);
    pass(&mut shard);
    // A final text frame with a mask of zero.
    let len = u8::try_from(TEXT.len()).expect("it is short");
    let mut wire = [&[0x81, 0x80 | len, 0, 0, 0, 0], TEXT].concat();
    let (mut decoder, limits) = (FrameDecoder::new(), DecoderLimits::default());
    let mut receive = || {
        let mut rest = &mut wire[..];
        let event = decoder.next(&mut rest, &limits).expect("it breaks no rule").expect("it is whole");
        assert!(matches!(session.receive(event), Flow::Done));
        assert!(rest.is_empty());
        pass(&mut shard);
    };
    receive();
    assert_eq!(allocation_counter::measure(receive).count_total, 2);
    assert_eq!(hub.metrics().shards()[0].read().deliveries, 2);
}

/// A slow connection costs the hub no memory per message beyond the log that all slow connections share.
#[test]
fn parked_subscriber_costs_no_allocation_per_publication() {
    let cost = |subscribers| {
        let (hub, mut shard, channel) = hub(subscribers, || Full);
        let mut publish_and_pass = || {
            publish(&hub, &channel);
            pass(&mut shard);
        };
        // With the first one they park: a lane and a waker each.
        publish_and_pass();
        let cost = allocation_counter::measure(|| (0..100).for_each(|_| publish_and_pass()));
        assert_eq!(hub.metrics().shards()[0].read().parks, subscribers as u64);
        cost.count_total
    };
    // Two for each publication, and the log's chunks and list.
    let one = cost(1);
    assert!((200..=210).contains(&one), "{one}");
    assert_eq!(cost(1_000), one);
}

/// Parking costs once, whatever waits: a lane, a waker, and an eighth for the list of those a step sets aside.
#[test]
fn parking_costs_a_lane_and_a_waker() {
    let cost = |subscribers| {
        let (hub, mut shard, channel) = hub(subscribers, || Full);
        let cost = allocation_counter::measure(|| {
            publish(&hub, &channel);
            pass(&mut shard);
        });
        assert_eq!(hub.metrics().shards()[0].read().parks, subscribers as u64);
        cost.count_total
    };
    let parked = cost(2_000) - cost(1_000);
    assert!((2_000..=2_130).contains(&parked), "{parked} allocations of 1,000 connections");
}

/// Most connections get nothing but pings for long. Recorded: the list of connections to ping, which stays.
#[test]
fn pings_cost_no_allocation() {
    let (hub, mut shard, _channel) = hub(1_000, || Null);
    let sends = || hub.metrics().shards()[0].read().sends;
    let cost = allocation_counter::measure(|| (1..50).for_each(|now| pass_at(&mut shard, Duration::from_secs(now))));
    assert!(sends() > 800, "{} pings", sends());
    assert!(cost.count_total < 10, "{} allocations", cost.count_total);
}
