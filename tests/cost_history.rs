//! What histories hold of the heap, by the byte: per publication, and per channel that nobody is subscribed to.

#[path = "common/null.rs"]
mod null;

use allocation_counter::measure;
use null::Null;
use std::sync::Arc;
use std::time::Duration;
use throng::config::{ChannelOptions, HubLimits};
use throng::hub::{Hub, Shard};
use throng::metrics::Metrics;
use throng::protocol::{ChannelName, Payload};

const CHANNELS: usize = 10_000;
const PUBLICATIONS: usize = 100;

/// Bytes beyond the data that a publication may hold.
const PER_PUBLICATION_MAX: f64 = 64.0;

/// Bytes that a channel may hold which keeps one publication and has no subscribers.
const PER_CHANNEL_MAX: f64 = 512.0;

/// Bytes of a line, its newline among them.
const LINE: usize = 100;

fn hub(history_bytes_max: usize) -> (Hub<Null>, Vec<Shard<Null>>) {
    let limits = HubLimits { history_bytes_max, channels_max: CHANNELS, ..HubLimits::default() };
    Hub::new(&limits, Arc::new(Metrics::new(1)))
}

fn options() -> Arc<ChannelOptions> {
    let mut options = ChannelOptions::default();
    (options.options.history_size, options.options.history_ttl) = (PUBLICATIONS, Duration::from_secs(3600));
    Arc::new(options)
}

/// Publishes to every channel so many times.
fn publish(hub: &Hub<Null>, names: &[ChannelName], options: &Arc<ChannelOptions>, times: usize) {
    for _ in 0..times {
        for name in names {
            let line = Payload::line(&[b'x'; LINE - 1]).expect("it is text");
            let mut credits = hub.credits(line.len()).arrived(Duration::ZERO);
            hub.publish_to(name, options, &line, &mut credits).expect("nobody has to be waited for");
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn held(count: usize, run: impl FnOnce()) -> f64 {
    measure(run).bytes_current as f64 / count as f64
}

#[test]
fn million_publications_hold_little_more_than_their_data() {
    let (hub, _shards) = hub(1 << 30);
    let options = options();
    let names: Vec<_> = (0..CHANNELS).map(|number| ChannelName::parse(&format!("{number}")).expect("valid")).collect();
    let channel = held(CHANNELS, || publish(&hub, &names, &options, 1)) - LINE as f64;
    assert!(channel <= PER_CHANNEL_MAX, "{channel} bytes per channel");
    let more = (PUBLICATIONS - 1) * CHANNELS;
    let publication = held(more, || publish(&hub, &names, &options, PUBLICATIONS - 1)) - LINE as f64;
    assert!(publication <= PER_PUBLICATION_MAX, "{publication} bytes per publication beyond its data");
    // A full history stays as large as it is.
    let turned_over = held(CHANNELS, || publish(&hub, &names, &options, 2));
    assert!(turned_over <= 1.0, "{turned_over} bytes per channel");
}

/// The budget counts what the heap holds: data and entries, if not the channels themselves.
#[test]
fn budget_bounds_the_heap_under_a_flood() {
    let budget = 1_000_000;
    let (hub, _shards) = hub(budget);
    let options = options();
    let names: Vec<_> = (0..100).map(|number| ChannelName::parse(&format!("{number}")).expect("valid")).collect();
    publish(&hub, &names, &options, 1);
    let grown = held(1, || publish(&hub, &names, &options, 500));
    assert!(grown < 2.0 * budget as f64, "{grown} bytes for a budget of {budget}");
    assert!(hub.history_bytes() <= budget);
}
