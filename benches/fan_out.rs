//! How long does one shard take to offer a publication to every subscriber of a channel?
//!
//! Not measured: encoding, sockets, wake-ups. Those are `frame.rs`, `socket_fan_out.rs` and `inbox.rs`.

#[path = "../tests/common/null.rs"]
mod null;

use criterion::{BenchmarkId, Criterion, Throughput};
use null::Null;
use std::sync::Arc;
use std::time::Duration;
use throng::config::{Config, HubLimits};
use throng::hub::{Channel, Hub, MessageShape, Shard, SubscribeOptions};
use throng::metrics::Metrics;
use throng::protocol::{ChannelName, Payload};

/// One shard with the given number of subscribers of one channel.
struct Bench {
    hub: Hub<Null>,
    shard: Shard<Null>,
    channel: Arc<Channel>,
    metrics: Arc<Metrics>,
}

impl Bench {
    fn new(subscribers: usize) -> Self {
        let limits = HubLimits { connections_max: subscribers, ..Config::default().limits };
        let metrics = Arc::new(Metrics::new(1));
        let (hub, mut shards) = Hub::new(&limits, Arc::clone(&metrics));
        let mut shard = shards.pop().expect("one was asked for");
        let name = ChannelName::parse("lobby").expect("it is valid");
        let mut channel = None;
        for _ in 0..subscribers {
            let credit = || hub.inbox(0).try_credit(0).expect("every pass gives credits back");
            let id = hub.connect(hub.reserve_slot().expect("there is room"), Null, MessageShape::default(), credit());
            channel = hub
                .subscribe(id, &name, &SubscribeOptions::default(), credit())
                .ok()
                .map(|subscribed| subscribed.channel);
            pass(&mut shard);
        }
        Self { channel: channel.expect("there is a subscriber"), hub, shard, metrics }
    }

    fn publish(&mut self, body: &Payload, messages: usize) {
        for _ in 0..messages {
            let mut credits = self.hub.credits(body.len());
            self.hub.publish(&self.channel, body, &mut credits).expect("a batch fits the inbox");
        }
        pass(&mut self.shard);
    }

    fn deliveries(&self) -> u64 {
        self.metrics.shards()[0].read().deliveries
    }
}

fn pass(shard: &mut Shard<Null>) {
    shard.begin_pass(Duration::ZERO);
    while shard.step() {}
    shard.end_pass(Duration::ZERO);
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("fan_out");
    let body = Payload::line(&[b'x'; 64]).expect("it is text");
    for (subscribers, messages) in [(100, 1), (1_000, 1), (10_000, 1), (1_000, 16), (1_000, 64)] {
        let mut bench = Bench::new(subscribers);
        let deliveries = (subscribers * messages) as u64;
        group.throughput(Throughput::Elements(deliveries));
        group.bench_function(BenchmarkId::new(format!("{messages}_to"), subscribers), |bencher| {
            bencher.iter(|| {
                let before = bench.deliveries();
                bench.publish(&body, messages);
                assert_eq!(bench.deliveries() - before, deliveries);
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
