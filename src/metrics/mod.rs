//! Metrics: what the hub did, as plain numbers that cost nothing per delivery.
//!
//! A counter is declared once, with the macro `counters!`: its name, its kind and its help text. From this
//! declaration follow the number that is counted, the atomic that other threads read, sums, and the metrics page.

mod api;
mod cluster;
mod counters;
mod hooks;
mod latency;

pub mod process;
pub mod refusal;
pub mod shard;

mod hub;

pub use api::{API_CODES, API_METHODS, ApiCounters};
pub use cluster::{ClusterCounters, ClusterCounts, PublishRefusal, Resync};
pub use counters::{Labels, Metric, MetricKind, Read};
pub use hooks::{HOOKS, HookCounters, HookOutcome};
pub use hub::Metrics;
pub use latency::{LATENCY_BOUNDS, LatencyHistogram};
pub use process::{ProcessCounters, ProcessCounts};
pub use refusal::Refusal;
pub use shard::{ShardCounters, ShardCounts};
