//! The metrics page: the counters of the process as OpenMetrics text.

use crate::hub::{Hub, Sink};
use crate::metrics::{Kind, Metrics, Refused, SHARD_COUNTS, ShardCounts};
use crate::protocol::CloseReason;
use crate::transport::process::Process;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::atomic::Ordering;

pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Returns the page. Built anew for each request: it is asked for a few times a minute.
pub(super) fn page<S: Sink>(hub: &Hub<S>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Process));
    let shards = hub.metrics().shards().iter().map(|shard| shard.read()).collect();
    let snapshot = Snapshot { shards, process: process(hub.metrics()), refusals: hub.metrics().refusals() };
    registry.sub_registry_with_prefix("throng").register_collector(Box::new(snapshot));
    let mut page = String::new();
    // Writing to a string does not fail.
    let _ = encode(&mut page, &registry);
    page
}

fn process(metrics: &Metrics) -> [(&'static str, &'static str, u64); 2] {
    // Relaxed: each number stands for itself.
    let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    [
        ("connection_panics", "Connections ended by a bug in what reads them", read(&metrics.connection_panics)),
        ("shard_restarts", "Shards restarted after a bug", read(&metrics.shard_restarts)),
    ]
}

/// The numbers of one moment.
#[derive(Debug)]
struct Snapshot {
    shards: Vec<ShardCounts>,
    process: [(&'static str, &'static str, u64); 2],
    refusals: [u64; Refused::LABELS.len()],
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (name, help, value) in self.process {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        for (name, kind, help, read) in SHARD_COUNTS {
            let values = self.shards.iter().enumerate().map(|(shard, counts)| (shard.to_string(), read(counts)));
            encode_family(&mut encoder, name, help, *kind, "shard", values)?;
        }
        let refusals = Refused::LABELS.iter().zip(self.refusals);
        encode_family(&mut encoder, "refusals", "Connections refused", Kind::Counter, "reason", refusals)?;
        let closes = CloseReason::LABELS.iter().enumerate();
        let closes = closes.map(|(index, label)| (*label, self.shards.iter().map(|counts| counts.closes[index]).sum()));
        encode_family(&mut encoder, "closes", "Connections that we closed", Kind::Counter, "reason", closes)
    }
}

fn encode_family<L: AsRef<str>>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    kind: Kind,
    label: &str,
    values: impl Iterator<Item = (L, u64)>,
) -> fmt::Result {
    let metric_type = match kind {
        Kind::Counter => ConstCounter::new(0_u64).metric_type(),
        Kind::Gauge => ConstGauge::new(0_i64).metric_type(),
    };
    // The encoder ends a help text with a full stop by itself.
    let mut family = encoder.encode_descriptor(name, help.trim().trim_end_matches('.'), None, metric_type)?;
    for (value, number) in values {
        let labels = [(label, value.as_ref())];
        let family = family.encode_family(&labels)?;
        match kind {
            Kind::Counter => ConstCounter::new(number).encode(family)?,
            Kind::Gauge => ConstGauge::new(i64::try_from(number).unwrap_or(i64::MAX)).encode(family)?,
        }
    }
    Ok(())
}
