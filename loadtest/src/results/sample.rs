//! A sample: one second of the run.

use serde::{Deserialize, Serialize};

/// One second of the run.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Sample {
    /// Seconds since the run began, at the end of this second.
    pub(crate) at_s: f64,
    /// What was going on: `connect`, `warm-up`, the name of a phase, `drain`, ...
    pub(crate) stage: String,
    pub(crate) connected: u64,
    pub(crate) sent_per_second: f64,
    pub(crate) deliveries_per_second: f64,
    /// Of the deliveries of this second; absent if there were none.
    pub(crate) p50_us: Option<u64>,
    pub(crate) p99_us: Option<u64>,
    pub(crate) max_us: Option<u64>,
    /// So far.
    pub(crate) lost: u64,
    pub(crate) server_cpu_share: Option<f64>,
    pub(crate) server_rss: Option<u64>,
    pub(crate) server_descriptors: Option<u64>,
    pub(crate) kernel_tcp: u64,
    pub(crate) generator_cpu_share: f64,
}
