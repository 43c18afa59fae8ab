//! A report: the findings of a run, what they were found on, and the judgement. The JSON file holds exactly this.
//!
//! Figures that a run has no way to know are absent, not 0. Shares are of one core unless they say otherwise.

pub(crate) mod asserts;
pub(crate) mod chart;
pub(crate) mod figures;
pub(crate) mod html;
pub(crate) mod latency;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod verdict;

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::config::{Axis, Config};
use crate::observe::host::Environment;
use crate::report::latency::Summary;
use crate::report::verdict::Verdict;

/// The version of the file's shape. Another one is refused when it is read.
const FORMAT: u32 = 2;

/// Everything that is written to the JSON file.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Report {
    pub(crate) format: u32,
    pub(crate) verdict: Verdict,
    pub(crate) config: Config,
    pub(crate) environment: Environment,
    pub(crate) results: Findings,
}

/// What a scenario found.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Findings {
    pub(crate) connections: Connections,
    pub(crate) accounting: Accounting,
    /// Connections that the server ended and was not meant to, by code.
    pub(crate) closes: Vec<CloseCount>,
    /// Connections that the server did not accept, in scenarios that go on without them.
    pub(crate) refusals: Vec<Refusal>,
    /// Measured windows, in their order.
    pub(crate) phases: Vec<Phase>,
    /// The whole run, second by second.
    pub(crate) timeline: Vec<Sample>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) idle: Option<Idle>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) slow: Option<Slow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) storm: Option<Storm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) churn: Option<Churn>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ramp: Option<Ramp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) channels: Option<Channels>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) soak: Option<Soak>,
}

/// How connecting went.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Connections {
    pub(crate) opened: usize,
    /// Those that the next figures are about: in `idle`, the second step.
    pub(crate) timed: usize,
    pub(crate) seconds: f64,
    /// From the first SYN to the end of the WebSocket handshake.
    pub(crate) handshake: Summary,
    pub(crate) server_cpu_us_per_connection: Option<f64>,
}

/// Where every delivery went.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Accounting {
    /// Deliveries that were due: each message to each connection that reads, the publisher's own copy included.
    pub(crate) expected: u64,
    #[serde(flatten)]
    pub(crate) counts: Counts,
    /// Due to connections that the server had closed.
    pub(crate) undelivered_closed: u64,
    /// Messages, not deliveries, that were sent by publishers whom the server closed, and reached nobody.
    pub(crate) unaccepted: u64,
    /// Deliveries that fastwebsockets' client saw too.
    pub(crate) validated: u64,
    /// The start of the first line that was no record.
    pub(crate) first_stranger: Option<String>,
}

/// What was received, over the whole run.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Counts {
    /// Records that came for the first time, whole.
    pub(crate) verified: u64,
    /// Records that later ones overtook for good, or that never came.
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    /// Lines that are as long as a record and are none.
    pub(crate) corrupt: u64,
    /// Lines longer than a record.
    pub(crate) joined: u64,
    /// Lines shorter than a record.
    pub(crate) split: u64,
}

impl Counts {
    /// Adds what others received.
    pub(crate) const fn add(&mut self, other: &Self) {
        self.verified += other.verified;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.corrupt += other.corrupt;
        self.joined += other.joined;
        self.split += other.split;
    }
}

/// Connections that ended the same way.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct CloseCount {
    /// As sent by the server; 1005 for a close frame without a code, 1006 for none at all.
    pub(crate) code: u16,
    /// The first one's.
    pub(crate) reason: String,
    pub(crate) count: usize,
}

/// Attempts to connect that failed the same way.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Refusal {
    pub(crate) why: String,
    pub(crate) count: u64,
}

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

/// Memory, in bytes. What the server uses is 0 if nobody said which process it is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Memory {
    pub(crate) server_rss: u64,
    pub(crate) server_pss: u64,
    /// Buffers of all TCP sockets of the machine.
    pub(crate) kernel_tcp: u64,
    /// Objects of the kernel, sockets among them.
    pub(crate) kernel_slab: u64,
}

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

/// The price of an idle connection.
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

/// The price of receivers that do not read.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Slow {
    pub(crate) stalled: usize,
    /// Stalled ones that the server had ended when the phase was over.
    pub(crate) ended: usize,
    /// Seconds from the stall until the server let go of its end, sorted; seen within 3 s.
    pub(crate) ended_after_seconds: Vec<f64>,
    /// What the stalled ones found when they were read out at last.
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
    /// Seconds from the cut until so many were back; absent if they never were.
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

/// A search for the knee.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Ramp {
    pub(crate) axis: Axis,
    pub(crate) p99_max_us: u64,
    pub(crate) steps: Vec<Step>,
    /// The last step that held, by index.
    pub(crate) knee: Option<usize>,
    /// Why it went no further.
    pub(crate) end: String,
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
    /// True if it kept the latency limit and lost nothing.
    pub(crate) is_within: bool,
}

/// Who stands where.
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

impl Report {
    /// Puts a report together.
    pub(crate) fn new(verdict: Verdict, config: Config, environment: Environment, results: Findings) -> Self {
        Self { format: FORMAT, verdict, config, environment, results }
    }

    /// Writes the JSON file.
    ///
    /// # Errors
    ///
    /// Fails when the file can not be written.
    pub(crate) fn write_json(&self, path: &Path) -> Result<()> {
        let file = File::create(path).with_context(|| format!("failed to create {}", path.display()))?;
        serde_json::to_writer_pretty(BufWriter::new(file), self)
            .with_context(|| format!("failed to write {}", path.display()))
    }

    /// Reads a JSON file back.
    ///
    /// # Errors
    ///
    /// Fails when it can not be read, is no report, or one of another version.
    pub(crate) fn read_json(path: &Path) -> Result<Self> {
        let name = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {name}"))?;
        let value: serde_json::Value =
            serde_json::from_str(&text).with_context(|| format!("{name} is no report: it is not JSON"))?;
        let format = value.get("format").and_then(serde_json::Value::as_u64);
        ensure!(
            format == Some(FORMAT.into()),
            "{name} has report format {}, this loadtest reads {FORMAT}: run the test again",
            format.map_or_else(|| "none".to_owned(), |format| format.to_string())
        );
        serde_json::from_value(value).with_context(|| format!("{name} is no report"))
    }
}
