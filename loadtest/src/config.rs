//! A configuration: everything that a run needs to know, complete and possible.
//!
//! Made by the command line, carried to the workers, and written into the report, so that a reader of a report sees
//! what was measured.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::wire::face::Face;
use crate::wire::target::Target;

/// The question of a run.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scenario {
    /// What does a connection cost while nothing happens?
    Idle,
    /// How fast does one message reach everybody?
    Fanout,
    /// How many deliveries per second can it make? (closed loop)
    Saturate,
    /// What if everybody talks to everybody?
    Chat,
    /// What happens to messages that come many at a time?
    Burst,
    /// What do receivers that stop reading cost the others, and the server?
    Slow,
    /// How long until everybody is back after a cut?
    Storm,
    /// What do arrivals and departures cost those who stay?
    Churn,
    /// How far does it go until latency breaks a limit?
    Ramp,
    /// What if the same people stand in many channels?
    Channels,
    /// Does anything grow with time?
    Soak,
}

/// What a ramp raises.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Axis {
    /// Receivers, at a fixed rate.
    Clients,
    /// Messages per second, at fixed receivers.
    Rate,
}

/// Everything a run needs to know. What its scenario does not use is 0.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Config {
    pub(crate) scenario: Scenario,
    pub(crate) url: Target,
    pub(crate) face: Face,
    /// The channel, where the server has any; in `channels` the start of their names.
    pub(crate) channel: String,
    /// Receivers, or members of a chat.
    pub(crate) clients: usize,
    /// `idle`: connections at the first of the two measurements.
    pub(crate) clients_low: usize,
    /// Messages per second: in all, or per member of a chat.
    pub(crate) rate: f64,
    /// `saturate`: messages under way.
    pub(crate) window: usize,
    /// Bytes of a message.
    pub(crate) size: usize,
    /// `burst`: messages at once, and the time from one burst to the next.
    pub(crate) burst: usize,
    #[serde(with = "seconds")]
    pub(crate) every: Duration,
    /// `slow`: receivers that stop reading.
    pub(crate) stalled: usize,
    /// `storm`: the window over which clients spread their return in the second round.
    #[serde(with = "seconds")]
    pub(crate) jitter: Duration,
    /// `churn`: connections that come and go per second, and how many of the clients take turns at it.
    pub(crate) churn_rate: f64,
    pub(crate) churners: usize,
    /// `ramp`: what is raised, from where by how much, how often at most, and until which p99.
    pub(crate) axis: Axis,
    pub(crate) ramp_from: f64,
    pub(crate) ramp_step: f64,
    pub(crate) ramp_steps: usize,
    #[serde(with = "seconds")]
    pub(crate) p99_max: Duration,
    /// `channels`: how many there are, how many each client subscribes to, and the exponent of their popularity.
    pub(crate) channels: usize,
    pub(crate) subscriptions: usize,
    pub(crate) zipf: f64,
    /// Receivers that are driven by fastwebsockets, as a second opinion.
    pub(crate) validators: usize,
    #[serde(with = "seconds")]
    pub(crate) duration: Duration,
    #[serde(with = "seconds")]
    pub(crate) warmup: Duration,
    #[serde(with = "seconds")]
    pub(crate) drain: Duration,
    /// New connections per second.
    pub(crate) connect_rate: f64,
    pub(crate) source_addresses: u8,
    pub(crate) processes: usize,
    /// Makes every random choice repeatable.
    pub(crate) seed: u64,
    pub(crate) server_pid: Option<u32>,
    pub(crate) server_metrics: Option<Target>,
    /// The server's system calls are counted with `perf`.
    pub(crate) server_syscalls: bool,
    /// What must hold of the figures, as written.
    pub(crate) asserts: Vec<String>,
    #[serde(skip)]
    pub(crate) json: Option<PathBuf>,
    #[serde(skip)]
    pub(crate) html: Option<PathBuf>,
    #[serde(skip)]
    pub(crate) quiet: bool,
}

impl Config {
    /// Connections in all: a publisher comes on top, unless everybody publishes or nobody.
    pub(crate) const fn connections(&self) -> usize {
        self.clients + self.has_own_publisher() as usize
    }

    /// True if the first connection publishes what all others receive.
    pub(crate) const fn has_own_publisher(&self) -> bool {
        !matches!(self.scenario, Scenario::Idle | Scenario::Chat | Scenario::Channels)
    }

    /// Numbers that publishers may have: those of the first connections, or of the channels.
    pub(crate) const fn publishers(&self) -> usize {
        match self.scenario {
            Scenario::Idle => 0,
            Scenario::Chat => self.clients,
            Scenario::Channels => self.channels,
            _ => 1,
        }
    }
}

/// Durations as seconds, which is what a reader of a JSON file expects.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(duration.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
