//! The findings that only one scenario has.

use crate::config::Axis;
use crate::measure::histogram::Summary;
use crate::measure::{CloseCount, Memory};
use crate::units::{count, rate};
use serde::{Deserialize, Serialize};

/// The cost of an idle connection.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Idle {
    pub(crate) connections_low: usize,
    pub(crate) connections_high: usize,
    pub(crate) memory_low: Memory,
    pub(crate) memory_high: Memory,
    pub(crate) server_rss_per_connection: f64,
    pub(crate) server_pss_per_connection: f64,
    /// Both ends of the connection live on this machine; about half of it is the server's. Other work on the machine
    /// counts too.
    pub(crate) kernel_slab_per_connection: f64,
    pub(crate) generator_rss_per_connection: f64,
    pub(crate) held_seconds: f64,
    /// CPU time of the server while it was held, of one core.
    pub(crate) server_cpu_share: f64,
    pub(crate) server_rss_at_end: u64,
}

/// The cost of receivers that do not read.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Slow {
    pub(crate) stalled: usize,
    /// Stalled connections that the server had closed by the end of the phase.
    pub(crate) ended: usize,
    /// Seconds from the stall until the server closed its end, sorted; exact to 3 s.
    pub(crate) ended_after_seconds: Vec<f64>,
    /// How the stalled connections were closed, read after the phase.
    pub(crate) closes: Vec<CloseCount>,
    /// Stalled over calm, of the healthy receivers' latency.
    pub(crate) p50_ratio: f64,
    pub(crate) p99_ratio: f64,
    /// Peak while stalled, less what it was before, by stalled receiver.
    pub(crate) server_rss_per_stalled: f64,
    pub(crate) kernel_tcp_per_stalled: f64,
}

/// The returns after a cut.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Storm {
    pub(crate) rounds: Vec<Round>,
}

/// One cut and return.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Round {
    /// The window over which the clients spread their first attempts, in seconds; 0 for all at once.
    pub(crate) jitter_s: f64,
    /// Seconds from the cut until 99 % and 100 % were back; absent if they never were.
    pub(crate) back_99_s: Option<f64>,
    pub(crate) back_100_s: Option<f64>,
    pub(crate) back: usize,
    pub(crate) clients: usize,
    /// From the cut to the end of the handshake, by client.
    pub(crate) returns: Summary,
    /// Attempts in all; more than clients if some were refused.
    pub(crate) attempts: u64,
    pub(crate) server_cpu_us_per_connection: Option<f64>,
    pub(crate) server_rss_peak: u64,
    /// Share of the time that the busiest worker waited for a core, from the cut to the last return.
    #[serde(default)]
    pub(crate) generator_waiting_share: f64,
}

/// Arrivals and departures.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Churn {
    pub(crate) stayed: usize,
    pub(crate) arrivals: u64,
    pub(crate) arrivals_per_second: f64,
    /// From the first SYN to the end of the handshake.
    pub(crate) handshake: Summary,
    /// Bytes per arrival, by which the server's memory grew from the first second of the window to the last.
    pub(crate) server_rss_per_arrival: Option<f64>,
}

/// The return of many clients that ask for what they missed.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Recovery {
    pub(crate) stayed: usize,
    pub(crate) left: usize,
    /// Messages that were published while they were away.
    pub(crate) missed: usize,
    pub(crate) back: usize,
    /// Seconds from the first possible return until 99 % and 100 % were back; absent if they never were.
    pub(crate) back_99_s: Option<f64>,
    pub(crate) back_100_s: Option<f64>,
    pub(crate) returns: Summary,
    /// Attempts in all; more than left if some were refused.
    pub(crate) attempts: u64,
    /// Clients to which the server said that everything they missed follows, and that it cannot.
    pub(crate) recovered: u64,
    pub(crate) incomplete: u64,
    /// Lines that the server announced to the recovered ones.
    pub(crate) lines: u64,
    /// Return over calm, of the latency of those that stayed.
    pub(crate) p50_ratio: f64,
    pub(crate) p99_ratio: f64,
    /// Before the return, and its peak until everything had come; 0 if it could not be read.
    pub(crate) server_rss_before: u64,
    pub(crate) server_rss_peak: u64,
}

/// A search for the knee.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Ramp {
    pub(crate) axis: Axis,
    pub(crate) p99_max_us: u64,
    pub(crate) steps: Vec<Step>,
    /// The last step within the limits, by index, if a later one exceeded them because of the server.
    pub(crate) knee: Option<usize>,
    /// The last step within the limits, by index.
    #[serde(default)]
    pub(crate) held: Option<usize>,
    /// Whether the ramp ended because the generator was the bottleneck.
    #[serde(default)]
    pub(crate) is_generator_bound: bool,
    /// Why it ended.
    pub(crate) end: String,
}

impl Ramp {
    /// Returns what the ramp found, in one line.
    pub(crate) fn summary(&self) -> String {
        let value = |step: usize| match self.axis {
            Axis::Clients => format!("{} clients", count(self.steps[step].clients as u64)),
            Axis::Rate => format!("{} messages/s", rate(self.steps[step].rate)),
        };
        match (self.knee, self.held) {
            (Some(knee), _) => format!("the knee is at {}: {}", value(knee), self.end),
            (None, Some(held)) => format!("no knee up to {}: {}", value(held), self.end),
            (None, None) => format!("the first step did not hold: {}", self.end),
        }
    }
}

/// One step of a ramp.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Step {
    pub(crate) clients: usize,
    pub(crate) rate: f64,
    pub(crate) deliveries_per_second: f64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
    pub(crate) server_cpu_share: Option<f64>,
    pub(crate) server_rss: u64,
    pub(crate) generator_cpu_share: f64,
    /// Whether it kept the latency limit and lost nothing.
    pub(crate) is_within: bool,
}

/// How clients are spread over channels.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Channels {
    pub(crate) channels: usize,
    /// Channels with a subscriber.
    pub(crate) occupied: usize,
    pub(crate) subscriptions: usize,
    pub(crate) largest: usize,
    pub(crate) median: usize,
    pub(crate) server_rss_per_subscription: Option<f64>,
}

/// What grows with time: straight lines through the samples of the measured window.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Soak {
    pub(crate) rss_bytes_per_hour: Option<f64>,
    pub(crate) descriptors_per_hour: Option<f64>,
    pub(crate) kernel_tcp_bytes_per_hour: f64,
    pub(crate) p99_us_per_hour: Option<f64>,
}
