//! What a delivery allocates: nothing. The cost of a publication does not depend on who receives it.

#[path = "support/null.rs"]
mod null;

use bytes::Bytes;
use null::Null;
use std::sync::Arc;
use std::time::Duration;
use throng::config::Limits;
use throng::hub::{Channel, Hub, Shard};
use throng::metrics::Metrics;
use throng::protocol::{ChannelName, Encoding, plain};

/// A hub of one shard with that many subscribers of one channel.
fn hub(subscribers: usize) -> (Hub<Null>, Shard<Null>, Arc<Channel>) {
    let limits = Limits { connections_max: subscribers, ..Limits::default() };
    let (hub, mut shards) = Hub::new(&limits, Arc::new(Metrics::new(1)));
    let mut shard = shards.remove(0);
    let lobby = ChannelName::parse("lobby").expect("a good name");
    let mut channel = None;
    for _ in 0..subscribers {
        let credit = || hub.inbox(0).try_take(1).expect("the shard runs after every connection");
        let id = hub.connect(hub.place().expect("there is room"), Null, credit());
        channel = Some(hub.subscribe(id, &lobby, Encoding::Lines, credit()).expect("there is room"));
        pass(&mut shard);
    }
    (hub, shard, channel.expect("somebody subscribes"))
}

fn pass(shard: &mut Shard<Null>) {
    shard.begin_pass(Duration::ZERO);
    while shard.step() {}
    shard.end_pass();
}

/// Allocations of one publication to that many subscribers, from the received text to the last socket.
fn allocations(subscribers: usize) -> u64 {
    let (hub, mut shard, channel) = hub(subscribers);
    let publish = |shard: &mut Shard<Null>| {
        let body: Bytes = plain::line(b"a message of the usual size").expect("it is text");
        hub.publish(&channel, &body, &mut hub.credits(body.len())).expect("there is room");
        pass(shard);
    };
    // The first one makes the log's chunk and the frame's buffer, which stay.
    publish(&mut shard);
    let cost = allocation_counter::measure(|| publish(&mut shard));
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
