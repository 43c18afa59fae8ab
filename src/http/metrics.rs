//! The metrics page: the counters of the process as text that Prometheus reads.

use super::error::RequestError;
use super::methods::read_only;
use super::metrics_format::{self, Format};
use super::process_metrics::ProcessMetrics;
use super::response::{HttpResponse, set_header, text, with_body};
use crate::engine::Engine;
use crate::metrics::{
    ClusterCounts, LATENCY_BOUNDS, Labels, LatencyHistogram, Metric, MetricKind, ProcessCounts, PublishRefusal, Read,
    Resync, ShardCounts,
};
use crate::operation::idempotency::IdempotencyCounts;
use crate::operation::lifecycle::Stage;
use crate::operation::operator_key::KeyStatus;
use crate::operation::pace::{Closing, ClosingKind};
use crate::operation::state::State;
use hyper::{Method, Request, StatusCode, header};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::time::UNIX_EPOCH;

const UNAUTHORIZED: &str = "Unauthorized: /metrics needs one of --admin-keys, as Authorization: Bearer KEY or \
    X-API-Key: KEY. Without a key --internal-addr 127.0.0.1:8081 serves it to this machine there, and --metrics public \
    to everyone here\n";

const TOO_MANY: &str = "Too Many Requests: too many wrong keys; try again in a second\n";

/// Responds with the metrics page, in the format that the scraper prefers.
pub(super) fn respond<B>(state: &State, request: &Request<B>) -> Result<HttpResponse, RequestError> {
    let format = Format::negotiate(request.headers());
    let is_read = [Method::GET, Method::HEAD].contains(request.method());
    let page = if is_read { page(state, format) } else { String::new() };
    let mut response = with_body(StatusCode::OK, format.content_type(), page);
    set_header(&mut response, header::VARY, "accept");
    read_only(response, request.method())
}

/// Returns the response to a request that may not read the metrics.
pub(super) fn unauthorized(key: KeyStatus) -> HttpResponse {
    if key == KeyStatus::TooMany {
        let mut response = text(StatusCode::TOO_MANY_REQUESTS, TOO_MANY);
        set_header(&mut response, header::RETRY_AFTER, "1");
        return response;
    }
    let mut response = text(StatusCode::UNAUTHORIZED, UNAUTHORIZED);
    set_header(&mut response, header::WWW_AUTHENTICATE, "Bearer");
    response
}

/// Returns the page, built anew for each request: Prometheus asks a few times a minute.
fn page(state: &State, format: Format) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(ProcessMetrics));
    registry.sub_registry_with_prefix("throng").register_collector(Box::new(Snapshot::collect(state)));
    let mut page = String::new();
    // Writing to a string does not fail.
    let _ = encode(&mut page, &registry);
    match format {
        Format::OpenMetrics => page,
        Format::Prometheus => metrics_format::to_prometheus(&page),
    }
}

/// A gauge that is read from the state of the process.
#[derive(Debug)]
struct StateGauge {
    name: &'static str,
    help: &'static str,
    value: u64,
}

/// The numbers of one moment.
#[derive(Debug)]
struct Snapshot {
    state: Vec<StateGauge>,
    process: ProcessCounts,
    shards: Vec<ShardCounts>,
    /// Commands in the inbox of each shard.
    inboxes: Vec<u64>,
    /// Bytes of these commands.
    inbox_bytes: u64,
    /// Slots taken on each shard.
    placements: Vec<u64>,
    /// Answers of the API, by method and code.
    api: Vec<(&'static str, u32, u64)>,
    /// Times of the API's requests.
    api_times: LatencyHistogram,
    /// How questions to the application ended, by hook and outcome.
    hooks: Vec<(&'static str, &'static str, u64)>,
    /// Times of the questions, by hook.
    hook_times: Vec<(&'static str, LatencyHistogram)>,
    idempotency: IdempotencyCounts,
    /// What only a hub of a cluster has.
    cluster: Option<Cluster>,
}

/// The numbers of a hub of a cluster.
#[derive(Debug)]
struct Cluster {
    counts: ClusterCounts,
    /// Up to which number each partition was delivered.
    offsets: Vec<(usize, u64)>,
}

impl Snapshot {
    fn collect(state: &State) -> Self {
        let hub = state.hub();
        Self {
            state: gauges(state)
                .into_iter()
                .chain(certificate(state))
                .chain(broker(state))
                .chain(peers(state))
                .collect(),
            process: hub.metrics().process.read(),
            shards: hub.metrics().shards().iter().map(|shard| shard.read()).collect(),
            inboxes: (0..hub.shards()).map(|shard| hub.inbox(shard).depth() as u64).collect(),
            inbox_bytes: (0..hub.shards()).map(|shard| hub.inbox(shard).bytes() as u64).sum(),
            api: hub.metrics().api.requests(),
            api_times: hub.metrics().api.times(),
            hooks: hub.metrics().hooks.outcomes(),
            hook_times: hub.metrics().hooks.times(),
            idempotency: state.idempotency.counts(),
            cluster: Cluster::of(state),
            placements: hub.placement().taken_by_shard().into_iter().map(|taken| taken as u64).collect(),
        }
    }
}

/// Returns when the certificate expires, if there is one, so that an alert can precede the expiry.
fn certificate(state: &State) -> Option<StateGauge> {
    let not_after = state.certificates.as_ref()?.not_after();
    let seconds = not_after.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let name = "tls_certificate_not_after_timestamp_seconds";
    Some(StateGauge { name, help: "When the certificate expires, Unix time", value: seconds })
}

impl Cluster {
    fn of(state: &State) -> Option<Self> {
        let Engine::Nats(nats) = &state.engine else { return None };
        Some(Self { counts: state.hub().metrics().cluster.read(), offsets: nats.offsets() })
    }
}

/// Returns how many other hubs are there and are not there any more, in a cluster.
fn peers(state: &State) -> Vec<StateGauge> {
    let Some(view) = state.engine.peers() else { return Vec::new() };
    let gauge = |name, help, count| StateGauge { name, help, value: count as u64 };
    vec![
        gauge("peers", "Other hubs of the cluster whose heartbeats are heard", view.peers.len()),
        gauge("peers_lost", "Hubs that were lost in the last ten minutes, and have not returned", view.lost.len()),
    ]
}

/// Returns how the hub stands with NATS, if it is part of a cluster.
fn broker(state: &State) -> Vec<StateGauge> {
    let Engine::Nats(nats) = &state.engine else { return Vec::new() };
    let broker = nats.broker();
    let (requests, follow) = (nats.requests().state(), nats.follow().state());
    let dropped = requests.borrow().dropped + follow.borrow().dropped;
    let gauge = |name, help, value| StateGauge { name, help, value };
    vec![
        gauge("broker_up", "1 if beacons come back from NATS", u64::from(broker.is_up)),
        gauge(
            "follow_silence_seconds",
            "Time since something came of the partition that is silent for longest",
            broker.silence.as_secs(),
        ),
        gauge("follow_dropped", "Messages of NATS dropped since the start because too many waited", dropped),
        gauge(
            "nats_connects",
            "Connections to NATS made since the start; a hub has two",
            requests.borrow().connects + follow.borrow().connects,
        ),
    ]
}

fn gauges(state: &State) -> Vec<StateGauge> {
    let hub = state.hub();
    let closing = [ClosingKind::Stop, ClosingKind::Drain, ClosingKind::Shed];
    let closing = closing.into_iter().find_map(|kind| state.lifecycle.closing(kind));
    let (to_close, closed) = closing.as_deref().map_or((0, 0), |closing: &Closing| (closing.total(), closing.closed()));
    let is_not_ready = u64::from(state.lifecycle.stage() > Stage::Serving);
    let is_insecure = u64::from(state.settings.load().tokens.token_insecure);
    let gauge = |name, help, value| StateGauge { name, help, value };
    vec![
        gauge(
            "api_idempotency_keys",
            "Idempotency keys of the last five minutes, whose answers are kept",
            state.idempotency.counts().kept,
        ),
        gauge("connections_max", "Limit of connections", hub.placement().max() as u64),
        gauge("channels", "Channels that exist", hub.directory().len() as u64),
        gauge(
            "history_bytes",
            "Bytes that all channels together keep of what was published",
            hub.history_bytes() as u64,
        ),
        gauge("history_bytes_max", "Limit of history_bytes", hub.history_bytes_max() as u64),
        gauge("handshakes", "HTTP connections, handshakes in progress included", state.handshakes.len()),
        gauge("users", "Users that are connected, as their tokens name them", state.users.connected() as u64),
        gauge("tokens_insecure", "1 if the signatures of tokens are not checked", is_insecure),
        gauge("draining", "1 while the hub is draining or stopping", is_not_ready),
        gauge("closing_total_connections", "Connections that a stop, drain or shed closes", to_close as u64),
        gauge("closing_closed_connections", "Connections that it has closed so far", closed as u64),
        gauge("memory_budget_bytes", "Limit of the process or of its cgroup, the closer one", state.memory.budget()),
        gauge(
            "memory_used_bytes",
            "Compared with the budget: resident memory, or that of the cgroup without cached files",
            state.memory.used(),
        ),
        gauge(
            "memory_stage",
            "0 normal, 1 new connections are refused, 2 the slowest connections are closed",
            state.memory.pressure() as u64,
        ),
    ]
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let build = [("version", env!("CARGO_PKG_VERSION"))];
        let mut family = encoder.encode_descriptor("build_info", "Version of the hub", None, MetricType::Gauge)?;
        ConstGauge::new(1_i64).encode(family.encode_family(&build)?)?;
        for StateGauge { name, help, value } in &self.state {
            encode_one(&mut encoder, Metadata::gauge(name, help), *value)?;
        }
        for metric in ProcessCounts::METRICS {
            encode_process(&mut encoder, metric, &self.process)?;
        }
        encode_memory(&mut encoder, self)?;
        encode_skew(&mut encoder, &self.shards)?;
        for metric in ShardCounts::METRICS {
            encode_shard(&mut encoder, metric, &self.shards)?;
        }
        let inboxes = Metadata::gauge("inbox_depth", "Commands in the inbox of the shard");
        encode_shards(&mut encoder, inboxes, self.inboxes.iter().copied())?;
        let placements = Metadata::gauge("placements", "Slots taken, including those reserved by handshakes");
        encode_shards(&mut encoder, placements, self.placements.iter().copied())?;
        encode_latency(&mut encoder, &self.shards)?;
        encode_api(&mut encoder, self)?;
        encode_hooks(&mut encoder, self)?;
        self.cluster.as_ref().map_or(Ok(()), |cluster| encode_cluster(&mut encoder, cluster))
    }
}

/// The metadata of a metric.
#[derive(Clone, Copy, Debug)]
struct Metadata<'a> {
    name: &'a str,
    help: &'a str,
    kind: MetricKind,
}

impl<'a> Metadata<'a> {
    /// Returns the metadata of a declared metric.
    fn of<T>(metric: &Metric<T>) -> Self {
        // The encoder adds a full stop.
        Self { name: metric.name, help: metric.help.trim().trim_end_matches('.'), kind: metric.kind }
    }

    fn gauge(name: &'a str, help: &'a str) -> Self {
        Self { name, help, kind: MetricKind::Gauge }
    }
}

/// Encodes a declared metric of the process.
fn encode_process(
    encoder: &mut DescriptorEncoder<'_>,
    metric: &Metric<ProcessCounts>,
    counts: &ProcessCounts,
) -> fmt::Result {
    match metric.read {
        Read::One(read) => encode_one(encoder, Metadata::of(metric), read(counts)),
        Read::ByLabel { label, values, numbers } => {
            encode_family(encoder, Metadata::of(metric), label, values.iter().zip(numbers(counts).iter().copied()))
        }
    }
}

/// Encodes a declared metric of the shards: per shard, or summed over the shards if it has a label of its own.
fn encode_shard(
    encoder: &mut DescriptorEncoder<'_>,
    metric: &Metric<ShardCounts>,
    shards: &[ShardCounts],
) -> fmt::Result {
    match metric.read {
        Read::One(read) => encode_shards(encoder, Metadata::of(metric), shards.iter().map(read)),
        Read::ByLabel { label, values, numbers } => {
            let sum = |index: usize| shards.iter().map(|counts| numbers(counts)[index]).sum();
            let values = values.iter().enumerate().map(|(index, value)| (value, sum(index)));
            encode_family(encoder, Metadata::of(metric), label, values)
        }
    }
}

fn encode_one(encoder: &mut DescriptorEncoder<'_>, metadata: Metadata<'_>, value: u64) -> fmt::Result {
    if metadata.kind == MetricKind::Part {
        return Ok(());
    }
    encode_number(metadata.kind, value, descriptor(encoder, metadata)?)
}

fn encode_shards(
    encoder: &mut DescriptorEncoder<'_>,
    metadata: Metadata<'_>,
    values: impl Iterator<Item = u64>,
) -> fmt::Result {
    encode_family(encoder, metadata, "shard", values.enumerate().map(|(shard, value)| (shard.to_string(), value)))
}

fn encode_family<L: AsRef<str>>(
    encoder: &mut DescriptorEncoder<'_>,
    metadata: Metadata<'_>,
    label: &str,
    values: impl Iterator<Item = (L, u64)>,
) -> fmt::Result {
    if metadata.kind == MetricKind::Part {
        return Ok(());
    }
    let mut family = descriptor(encoder, metadata)?;
    for (value, number) in values {
        let labels = [(label, value.as_ref())];
        encode_number(metadata.kind, number, family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn descriptor<'e>(
    encoder: &'e mut DescriptorEncoder<'_>,
    metadata: Metadata<'e>,
) -> Result<MetricEncoder<'e>, fmt::Error> {
    let (metric_type, unit) = match metadata.kind {
        MetricKind::Counter => (MetricType::Counter, None),
        MetricKind::Seconds => (MetricType::Counter, Some(&Unit::Seconds)),
        MetricKind::Gauge | MetricKind::Part => (MetricType::Gauge, None),
    };
    encoder.encode_descriptor(metadata.name, metadata.help, unit, metric_type)
}

fn encode_number(kind: MetricKind, number: u64, encoder: MetricEncoder<'_>) -> fmt::Result {
    match kind {
        MetricKind::Counter => ConstCounter::new(number).encode(encoder),
        MetricKind::Seconds => ConstCounter::new(seconds(number)).encode(encoder),
        MetricKind::Gauge | MetricKind::Part => {
            ConstGauge::new(i64::try_from(number).unwrap_or(i64::MAX)).encode(encoder)
        }
    }
}

/// Encodes the memory that grows with load. That of the allocator and the kernel is part of the process metrics.
fn encode_memory(encoder: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let sum = |read: fn(&ShardCounts) -> u64| snapshot.shards.iter().map(read).sum::<u64>();
    let categories = [
        ("inboxes", snapshot.inbox_bytes),
        ("control_queues", sum(|counts| counts.control_bytes)),
        ("logs", sum(|counts| counts.log_bytes)),
        ("partial_messages", snapshot.process.partial_bytes),
        ("slots", sum(|counts| counts.slot_bytes)),
    ];
    let metadata = Metadata::gauge("memory_bytes", "Bytes by purpose");
    encode_family(encoder, metadata, "category", categories.into_iter())
}

/// Encodes how unevenly shards are loaded: the maximum as a multiple of the mean.
fn encode_skew(encoder: &mut DescriptorEncoder<'_>, shards: &[ShardCounts]) -> fmt::Result {
    const HELP: &str = "Maximum of a shard as a multiple of the mean; 1 is even";
    let mut family = encoder.encode_descriptor("shard_skew_ratio", HELP, None, MetricType::Gauge)?;
    for (of, read) in [("connections", connections as fn(&ShardCounts) -> u64), ("deliveries", deliveries)] {
        let (most, sum) = (shards.iter().map(read).max().unwrap_or(0), shards.iter().map(read).sum::<u64>());
        let skew = if sum == 0 { 1.0 } else { most as f64 * shards.len() as f64 / sum as f64 };
        ConstGauge::new(skew).encode(family.encode_family(&[("of", of)])?)?;
    }
    Ok(())
}

fn connections(counts: &ShardCounts) -> u64 {
    counts.connections
}

fn deliveries(counts: &ShardCounts) -> u64 {
    counts.deliveries
}

fn encode_latency(encoder: &mut DescriptorEncoder<'_>, shards: &[ShardCounts]) -> fmt::Result {
    let help = LatencyHistogram::HELP;
    let mut family = encoder.encode_descriptor("delivery", help, Some(&Unit::Seconds), MetricType::Histogram)?;
    for (shard, counts) in shards.iter().enumerate() {
        let labels = [("shard", shard.to_string())];
        encode_histogram(family.encode_family(&labels)?, &counts.latency)?;
    }
    Ok(())
}

/// Encodes the answers of the API and the time that its requests took.
fn encode_api(encoder: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let help = "Answers of the HTTP API, by method and code; 0 is success";
    let mut family = encoder.encode_descriptor("api_requests", help, None, MetricType::Counter)?;
    for (method, code, count) in &snapshot.api {
        let labels = [("method", (*method).to_owned()), ("code", code.to_string())];
        ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
    }
    for (name, help, value) in [
        (
            "api_idempotency_repeated",
            "Publications that were sent again under their idempotency key, and not published again",
            snapshot.idempotency.repeated,
        ),
        (
            "api_idempotency_forgotten",
            "Idempotency keys that were forgotten before their five minutes, because there were too many",
            snapshot.idempotency.forgotten,
        ),
    ] {
        encode_one(encoder, Metadata { name, help, kind: MetricKind::Counter }, value)?;
    }
    let help = "Time from the head of an API request to its answer";
    let family =
        encoder.encode_descriptor("api_request_duration", help, Some(&Unit::Seconds), MetricType::Histogram)?;
    encode_histogram(family, &snapshot.api_times)
}

/// Encodes how questions to the application ended and the time that clients waited for them.
fn encode_hooks(encoder: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let help = "Questions to the application, by hook and outcome";
    let mut family = encoder.encode_descriptor("hook_requests", help, None, MetricType::Counter)?;
    for (hook, outcome, count) in &snapshot.hooks {
        ConstCounter::new(*count).encode(family.encode_family(&[("hook", *hook), ("outcome", *outcome)])?)?;
    }
    let help = "Time that clients waited for the answer to a question to the application";
    let mut family =
        encoder.encode_descriptor("hook_request_duration", help, Some(&Unit::Seconds), MetricType::Histogram)?;
    for (hook, times) in &snapshot.hook_times {
        encode_histogram(family.encode_family(&[("hook", *hook)])?, times)?;
    }
    Ok(())
}

/// Encodes what only a hub of a cluster has.
fn encode_cluster(encoder: &mut DescriptorEncoder<'_>, cluster: &Cluster) -> fmt::Result {
    let Cluster { counts, offsets } = cluster;
    let help = "Number in the log of the partition up to which it was delivered; the most of all hubs is how far it is";
    let offsets = offsets.iter().map(|(partition, offset)| (partition.to_string(), *offset));
    encode_family(encoder, Metadata::gauge("partition_offset", help), "partition", offsets)?;
    for (name, help, values, numbers) in [
        ("resyncs", "Times that something of a partition was missing and fetched", Resync::VALUES, &counts.resyncs[..]),
        ("publish_refused", "Publications that were refused", PublishRefusal::VALUES, &counts.publish_refused),
    ] {
        let metadata = Metadata { name, help, kind: MetricKind::Counter };
        encode_family(encoder, metadata, "reason", values.iter().zip(numbers.iter().copied()))?;
    }
    for (name, help, times) in [
        ("publish_ack", "Time until NATS acknowledged a publication of this hub", &counts.publish_ack),
        (
            "cluster_delivery",
            "Time from the arrival of a publication at any hub to its delivery to the shards of this one, by the \
             clocks of both",
            &counts.delivery,
        ),
    ] {
        let unit = Some(&Unit::Seconds);
        encode_histogram(encoder.encode_descriptor(name, help, unit, MetricType::Histogram)?, times)?;
    }
    Ok(())
}

fn encode_histogram(mut encoder: MetricEncoder<'_>, histogram: &LatencyHistogram) -> fmt::Result {
    let bounds = LATENCY_BOUNDS.iter().map(|bound| seconds(*bound)).chain([f64::INFINITY]);
    let buckets: Vec<_> = bounds.zip(histogram.buckets).collect();
    let (sum, count) = (seconds(histogram.sum), histogram.buckets.iter().sum());
    encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
}

#[expect(clippy::cast_precision_loss, reason = "285 years of microseconds are exact")]
fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}
