//! The metrics page: the counters of the process as text that Prometheus reads.

use super::error::{RequestError, read_only};
use super::metrics_format::{self, Format};
use super::process_metrics::ProcessMetrics;
use super::response::{HttpResponse, set_header, text, with_body};
use crate::metrics::{Kind, LATENCY_BOUNDS, Refusal, SHARD_COUNTS, ShardCounts};
use crate::operation::lifecycle::Stage;
use crate::operation::pace::{Closing, ClosingKind};
use crate::operation::state::State;
use crate::protocol::CloseReason;
use hyper::{Request, StatusCode, header};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

const FORBIDDEN: &str = "Forbidden: metrics are served to this machine only; elsewhere use --internal-addr and a key\n";

/// Responds with the metrics page, in the format that the scraper prefers.
pub(super) fn respond<B>(state: &State, request: &Request<B>) -> Result<HttpResponse, RequestError> {
    let format = Format::negotiate(request.headers());
    let mut response = with_body(StatusCode::OK, format.content_type(), page(state, format));
    set_header(&mut response, header::VARY, "accept");
    read_only(response, request.method())
}

/// Returns the response to a request that may not read the metrics.
pub(super) fn forbidden() -> HttpResponse {
    text(StatusCode::FORBIDDEN, FORBIDDEN)
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

/// One number of the process: its name, its kind, its help text, its value.
type Number = (&'static str, Kind, &'static str, u64);

/// The numbers of one moment.
#[derive(Debug)]
struct Snapshot {
    process: Vec<Number>,
    shards: Vec<ShardCounts>,
    /// Commands in the inbox of each shard.
    inboxes: Vec<u64>,
    /// Bytes of these commands.
    inbox_bytes: u64,
    /// Slots taken on each shard.
    placements: Vec<u64>,
    /// Bytes of messages that have not arrived completely.
    partial_bytes: u64,
    credit_wait_seconds: f64,
    refusals: [u64; Refusal::LABELS.len()],
}

impl Snapshot {
    fn collect(state: &State) -> Self {
        let hub = &state.hub;
        Self {
            process: process(state).into_iter().chain(certificate(state)).collect(),
            shards: hub.metrics().shards().iter().map(|shard| shard.read()).collect(),
            inboxes: (0..hub.shards()).map(|shard| hub.inbox(shard).depth() as u64).collect(),
            inbox_bytes: (0..hub.shards()).map(|shard| hub.inbox(shard).bytes() as u64).sum(),
            partial_bytes: hub.metrics().partial_bytes.load(Ordering::Relaxed),
            credit_wait_seconds: seconds(hub.metrics().credit_wait_micros.load(Ordering::Relaxed)),
            placements: hub.placement().taken_by_shard().into_iter().map(|taken| taken as u64).collect(),
            refusals: hub.metrics().refusals(),
        }
    }
}

/// Returns when the certificate expires, if there is one, so that an alert can precede the expiry.
fn certificate(state: &State) -> Option<Number> {
    let not_after = state.certificates.as_ref()?.not_after();
    let seconds = not_after.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    Some((
        "tls_certificate_not_after_timestamp_seconds",
        Kind::Gauge,
        "When the certificate expires, Unix time",
        seconds,
    ))
}

fn process(state: &State) -> Vec<Number> {
    let (hub, metrics) = (&state.hub, state.hub.metrics());
    // Relaxed: each number stands for itself.
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let closing = [ClosingKind::Stop, ClosingKind::Drain, ClosingKind::Shed];
    let closing = closing.into_iter().find_map(|kind| state.lifecycle.closing(kind));
    let (to_close, closed) = closing.as_deref().map_or((0, 0), |closing: &Closing| (closing.total(), closing.closed()));
    let is_not_ready = u64::from(state.lifecycle.stage() > Stage::Serving);
    vec![
        ("connections_max", Kind::Gauge, "Limit of connections", hub.placement().max() as u64),
        ("channels", Kind::Gauge, "Channels that exist", hub.directory().len() as u64),
        ("handshakes", Kind::Gauge, "HTTP connections, handshakes in progress included", state.handshakes.len()),
        ("draining", Kind::Gauge, "1 while the hub is draining or stopping", is_not_ready),
        ("closing_total_connections", Kind::Gauge, "Connections that a stop, drain or shed closes", to_close as u64),
        ("closing_closed_connections", Kind::Gauge, "Connections that it has closed so far", closed as u64),
        ("memory_budget_bytes", Kind::Gauge, "Bytes that the process may use", state.memory.budget()),
        (
            "memory_stage",
            Kind::Gauge,
            "0 normal, 1 new connections are refused, 2 the longest outboxes are closed",
            state.memory.pressure() as u64,
        ),
        (
            "credit_waits",
            Kind::Counter,
            "Times a publisher waited for a shard and its socket was not read",
            read(&metrics.credit_waits),
        ),
        ("accept_errors", Kind::Counter, "Connections that could not be accepted", read(&metrics.accept_errors)),
        ("connection_panics", Kind::Counter, "Connections ended by a panic", read(&metrics.connection_panics)),
        ("shard_restarts", Kind::Counter, "Shards restarted after a panic", read(&metrics.shard_restarts)),
        ("pauses", Kind::Counter, "Times the whole process did not run for a second", read(&metrics.pauses)),
        (
            "shard_stalls",
            Kind::Counter,
            "Times a shard had work and made no pass for a second",
            read(&metrics.shard_stalls),
        ),
        (
            "log_lines_lost",
            Kind::Counter,
            "Lines of the log that were dropped because writing was too slow",
            read(&metrics.log_lines_lost),
        ),
    ]
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let build = [("version", env!("CARGO_PKG_VERSION"))];
        let mut family = encoder.encode_descriptor("build_info", "Version of the hub", None, MetricType::Gauge)?;
        ConstGauge::new(1_i64).encode(family.encode_family(&build)?)?;
        for (name, kind, help, value) in &self.process {
            encode_one(&mut encoder, Metadata { name, help, kind: *kind }, *value)?;
        }
        let waited = ConstCounter::new(self.credit_wait_seconds);
        let help = "Total time that publishers waited for shards";
        waited.encode(encoder.encode_descriptor("credit_wait", help, Some(&Unit::Seconds), MetricType::Counter)?)?;
        encode_memory(&mut encoder, self)?;
        encode_skew(&mut encoder, &self.shards)?;
        for (name, kind, help, read) in SHARD_COUNTS {
            encode_shards(&mut encoder, Metadata { name, help, kind: *kind }, self.shards.iter().map(read))?;
        }
        let inboxes = Metadata::gauge("inbox_depth", "Commands in the inbox of the shard");
        encode_shards(&mut encoder, inboxes, self.inboxes.iter().copied())?;
        let placements = Metadata::gauge("placements", "Slots taken, including those reserved by handshakes");
        encode_shards(&mut encoder, placements, self.placements.iter().copied())?;
        let refusals = Refusal::LABELS.iter().zip(self.refusals);
        let metadata = Metadata::counter("refusals", "Connections refused");
        encode_family(&mut encoder, metadata, "reason", refusals)?;
        let closes = CloseReason::LABELS.iter().enumerate();
        let closes = closes.map(|(index, label)| (*label, self.shards.iter().map(|counts| counts.closes[index]).sum()));
        encode_family(&mut encoder, Metadata::counter("closes", "Connections closed by the hub"), "reason", closes)?;
        encode_latency(&mut encoder, &self.shards)
    }
}

/// The metadata of a metric.
#[derive(Clone, Copy, Debug)]
struct Metadata<'a> {
    name: &'a str,
    help: &'a str,
    kind: Kind,
}

impl<'a> Metadata<'a> {
    fn counter(name: &'a str, help: &'a str) -> Self {
        Self { name, help, kind: Kind::Counter }
    }

    fn gauge(name: &'a str, help: &'a str) -> Self {
        Self { name, help, kind: Kind::Gauge }
    }
}

fn encode_one(encoder: &mut DescriptorEncoder<'_>, metadata: Metadata<'_>, value: u64) -> fmt::Result {
    let metric = encoder.encode_descriptor(metadata.name, metadata.help, None, metric_type(metadata.kind))?;
    match metadata.kind {
        Kind::Counter => ConstCounter::new(value).encode(metric),
        Kind::Gauge => ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(metric),
    }
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
    // The encoder adds a full stop.
    let help = metadata.help.trim().trim_end_matches('.');
    let mut family = encoder.encode_descriptor(metadata.name, help, None, metric_type(metadata.kind))?;
    for (value, number) in values {
        let labels = [(label, value.as_ref())];
        let family = family.encode_family(&labels)?;
        match metadata.kind {
            Kind::Counter => ConstCounter::new(number).encode(family)?,
            Kind::Gauge => ConstGauge::new(i64::try_from(number).unwrap_or(i64::MAX)).encode(family)?,
        }
    }
    Ok(())
}

/// Encodes the memory that grows with load. That of the allocator and the kernel is part of the process metrics.
fn encode_memory(encoder: &mut DescriptorEncoder<'_>, snapshot: &Snapshot) -> fmt::Result {
    let sum = |read: fn(&ShardCounts) -> u64| snapshot.shards.iter().map(read).sum::<u64>();
    let categories = [
        ("inboxes", snapshot.inbox_bytes),
        ("control_queues", sum(|counts| counts.control_bytes)),
        ("logs", sum(|counts| counts.log_bytes)),
        ("partial_messages", snapshot.partial_bytes),
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
    const HELP: &str = "Time from the arrival of a publication to the last write that was due for it";
    let mut family = encoder.encode_descriptor("delivery", HELP, Some(&Unit::Seconds), MetricType::Histogram)?;
    for (shard, counts) in shards.iter().enumerate() {
        let bounds = LATENCY_BOUNDS.iter().map(|bound| seconds(*bound)).chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(counts.latency).collect();
        let (sum, count) = (seconds(counts.latency_sum), counts.latency.iter().sum());
        let labels = [("shard", shard.to_string())];
        family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "285 years of microseconds are exact")]
fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}

fn metric_type(kind: Kind) -> MetricType {
    match kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
    }
}
