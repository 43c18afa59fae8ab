//! What does a publisher pay to reach a shard: the lock, the credits, the queue and the wake-up flag?
//!
//! Not measured: a wake-up that is needed (a system call of the runtime, once per sleep), the fan-out.

#[path = "../tests/common/null.rs"]
mod null;

use criterion::{Criterion, Throughput};
use null::Null;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use throng::config::{Config, HubLimits};
use throng::hub::inbox::sleep_flag::SleepFlag;
use throng::hub::{Hub, MessageShape, SubscribeOptions};
use throng::metrics::Metrics;
use throng::protocol::{ChannelName, Payload};

/// Messages of one pass.
const BATCH: usize = 256;

/// Publishes batches to one subscriber per shard; the shards take them in turn.
fn publish(criterion: &mut Criterion, shards: usize) {
    let mut group = criterion.benchmark_group("inbox");
    group.throughput(Throughput::Elements(BATCH as u64));
    let limits = HubLimits { connections_max: shards, ..Config::default().limits };
    let (hub, mut running) = Hub::new(&limits, Arc::new(Metrics::new(shards)));
    let name = ChannelName::parse("lobby").expect("it is valid");
    let mut channel = None;
    for _ in 0..shards {
        let seat = hub.reserve_slot().expect("there is room");
        let inbox = hub.inbox(seat.id().shard());
        let id = hub.connect(seat, Null, MessageShape::default(), inbox.try_credit(0).expect("it is empty"));
        let credit = inbox.try_credit(0).expect("it is nearly empty");
        channel =
            hub.subscribe(id, &name, &SubscribeOptions::default(), credit).ok().map(|subscribed| subscribed.channel);
    }
    let channel = channel.expect("there is a subscriber");
    let line = Payload::line(b"x").expect("it is text");
    group.bench_function(format!("publish_and_pass_of_{BATCH}_to_{shards}_shards"), |bencher| {
        bencher.iter(|| {
            for _ in 0..BATCH {
                let mut credits = hub.credits(line.len());
                black_box(hub.publish(&channel, &line, &mut credits)).expect("a batch fits the inbox");
            }
            for shard in &mut running {
                while shard.begin_pass(Duration::ZERO) {
                    while shard.step() {}
                }
                assert_eq!(shard.inbox().depth(), 0);
            }
        });
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let flag = SleepFlag::new();
    criterion.bench_function("inbox/ring_while_the_shard_is_awake", |bencher| {
        bencher.iter(|| assert!(!black_box(&flag).wake()));
    });
    for shards in [1, 2, 8] {
        publish(&mut criterion, shards);
    }
    criterion.final_summary();
}
