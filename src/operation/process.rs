//! The process: what the kernel says of it, under the names that every Prometheus client library uses.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::fs;

/// Reads `/proc` when the page is asked for, a few times a minute.
#[derive(Debug)]
pub(crate) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        if let Some(seconds) = cpu_seconds() {
            let counter = ConstCounter::new(seconds);
            let kind = counter.metric_type();
            let help = "User and system CPU time spent in seconds";
            counter.encode(encoder.encode_descriptor("process_cpu_seconds", help, None, kind)?)?;
        }
        if let Some(seconds) = start_seconds() {
            let gauge = ConstGauge::new(seconds);
            let kind = gauge.metric_type();
            let help = "Start time of the process since unix epoch in seconds";
            gauge.encode(encoder.encode_descriptor("process_start_time_seconds", help, None, kind)?)?;
        }
        let gauges = [
            ("process_resident_memory_bytes", "Resident memory size in bytes", resident_bytes()),
            ("process_open_fds", "Number of open file descriptors", open_descriptors()),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                let gauge = ConstGauge::new(value);
                let kind = gauge.metric_type();
                gauge.encode(encoder.encode_descriptor(name, help, None, kind)?)?;
            }
        }
        Ok(())
    }
}

/// Returns times of proc(5)'s stat, in seconds: `count` fields from the one of that number on, added up.
fn stat_seconds(number: usize, count: usize) -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses, the second field, may hold anything.
    let fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(number - 3).take(count);
    let ticks: u64 = fields.map(|field| field.parse::<u64>().unwrap_or_default()).sum();
    Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn cpu_seconds() -> Option<f64> {
    stat_seconds(14, 2)
}

fn start_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let booted = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse::<f64>().ok()?;
    Some(booted + stat_seconds(22, 1)?)
}

pub(crate) fn resident_bytes() -> Option<i64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = statm.split(' ').nth(1)?.parse().ok()?;
    i64::try_from(rustix::param::page_size()).ok().map(|size| pages * size)
}

fn open_descriptors() -> Option<i64> {
    let size = fs::metadata("/proc/self/fd").ok()?.len();
    // Since Linux 6.2 the folder's size is the number; before that it has to be counted.
    let count = if size > 0 { size } else { fs::read_dir("/proc/self/fd").ok()?.count() as u64 };
    i64::try_from(count).ok()
}
