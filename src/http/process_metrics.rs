//! Metrics of the process, under the names that every Prometheus client library uses.

use crate::operation::process;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;

/// Reads `/proc` each time the page is requested, a few times a minute. Numbers that cannot be read are left out.
#[derive(Debug)]
pub(super) struct ProcessMetrics;

impl Collector for ProcessMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        if let Some(seconds) = process::cpu_seconds() {
            let help = "User and system CPU time spent in seconds";
            encode(&mut encoder, "process_cpu_seconds", help, &ConstCounter::new(seconds))?;
        }
        if let Some(seconds) = process::start_seconds() {
            let help = "Start time of the process since unix epoch in seconds";
            encode(&mut encoder, "process_start_time_seconds", help, &ConstGauge::new(seconds))?;
        }
        let gauges = [
            ("process_resident_memory_bytes", "Resident memory size in bytes", process::resident_bytes()),
            ("process_open_fds", "Number of open file descriptors", process::open_descriptors()),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value.and_then(|value| i64::try_from(value).ok()) {
                encode(&mut encoder, name, help, &ConstGauge::new(value))?;
            }
        }
        Ok(())
    }
}

fn encode(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, metric: &impl EncodeMetric) -> fmt::Result {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}
