//! A phase: the figures of one measured window.

use crate::measure::Memory;
use crate::measure::histogram::Summary;
use serde::{Deserialize, Serialize};

/// A generator that uses a larger share of its core cannot prove that it is not the bottleneck.
pub(crate) const GENERATOR_CPU_SHARE_MAX: f64 = 0.8;

/// The figures of one measured window.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Phase {
    pub(crate) name: String,
    pub(crate) seconds: f64,
    pub(crate) sent: u64,
    pub(crate) sent_per_second: f64,
    pub(crate) deliveries: u64,
    pub(crate) deliveries_per_second: f64,
    /// From the intended send time to the read that brought the message. Every delivery counts.
    pub(crate) latency: Summary,
    /// From the intended send time to the read of the message's first, and of its last receiver; one entry per message.
    /// Only of a single publisher in an open loop.
    pub(crate) first: Option<Summary>,
    pub(crate) last: Option<Summary>,
    /// From the intended send time to the write: the generator's own share of the latency.
    pub(crate) lateness: Summary,
    pub(crate) generator: GeneratorUse,
    pub(crate) server: Option<ServerUse>,
    pub(crate) memory_before: Memory,
    pub(crate) memory_after: Memory,
    pub(crate) server_rss_peak: u64,
    pub(crate) kernel_tcp_peak: u64,
    /// Share of all cores' time that the hypervisor gave to others.
    pub(crate) stolen_share: f64,
    /// From the server's own counters.
    pub(crate) sends_per_delivery: Option<f64>,
    /// Counted by `perf`.
    pub(crate) syscalls_per_delivery: Option<f64>,
    /// Present if messages were published through the API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) api: Option<ApiAnswers>,
}

/// The answers of the API.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct ApiAnswers {
    pub(crate) answers_per_second: f64,
    /// Publications that they accepted.
    pub(crate) accepted_per_second: f64,
    /// Publications that an answer accepted, on average.
    pub(crate) batch: f64,
    /// From the request to its answer.
    pub(crate) answer_time: Summary,
}

/// What the generator used.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct GeneratorUse {
    /// Of its core; with several processes, of the busiest one's.
    pub(crate) cpu_share: f64,
    /// Time it was ready to run and had no core; of the process that waited longest.
    pub(crate) waiting_share: f64,
    /// Of all processes.
    pub(crate) cpu_us_per_delivery: f64,
}

/// What the server used.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct ServerUse {
    /// Of one core; above 1 with several threads.
    pub(crate) cpu_share: f64,
    pub(crate) cpu_us_per_delivery: f64,
    /// Of its CPU time, that in user mode; unknown from a metrics page.
    pub(crate) user_share: Option<f64>,
    /// Context switches, which count wake-ups and preemptions.
    pub(crate) switches_per_delivery: Option<f64>,
}
