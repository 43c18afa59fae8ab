//! The settings of a run: its load, and everything that all scenarios have.

use super::api::Api;
use super::load::Load;
use super::{record, seconds};
use crate::wire::protocol::Protocol;
use crate::wire::target::Target;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// Everything that a run needs to know.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Config {
    #[serde(flatten, with = "record")]
    pub(crate) load: Load,
    pub(crate) url: Target,
    /// Further servers of the same cluster.
    #[serde(default)]
    pub(crate) peers: Vec<Target>,
    #[serde(rename = "face")]
    pub(crate) protocol: Protocol,
    /// Present if messages are published through the server's API and not by clients.
    #[serde(default)]
    pub(crate) api: Option<Api>,
    /// The channel; in `channels` the prefix of their names. Empty if nothing that is sent contains it.
    pub(crate) channel: String,
    /// Receivers, or members of a chat.
    pub(crate) clients: usize,
    /// Length of a message in bytes.
    pub(crate) size: usize,
    /// Additional receivers, which fastwebsockets drives.
    pub(crate) validators: usize,
    /// Length of the measured window.
    #[serde(with = "seconds")]
    pub(crate) duration: Duration,
    #[serde(with = "seconds")]
    pub(crate) warmup: Duration,
    /// The longest wait for messages in flight after the last one was sent.
    #[serde(with = "seconds")]
    pub(crate) drain: Duration,
    /// New connections per second.
    pub(crate) connect_rate: f64,
    pub(crate) source_addresses: u8,
    /// Worker processes.
    pub(crate) processes: usize,
    /// The seed of every random choice, so that it can be repeated.
    pub(crate) seed: u64,
    /// The largest share of the time that the generator may wait for a core.
    #[serde(default = "generator_waiting_max")]
    pub(crate) generator_waiting_max: f64,
    pub(crate) server_pid: Option<u32>,
    pub(crate) server_metrics: Option<Target>,
    /// Whether `perf` counts the server's system calls.
    pub(crate) server_syscalls: bool,
    /// Conditions on the figures, as written on the command line.
    pub(crate) asserts: Vec<String>,
    #[serde(skip)]
    pub(crate) json: Option<PathBuf>,
    #[serde(skip)]
    pub(crate) html: Option<PathBuf>,
    #[serde(skip)]
    pub(crate) quiet: bool,
}

/// The limit of reports that do not have it.
const fn generator_waiting_max() -> f64 {
    0.1
}

impl Config {
    /// Returns the server that the connection with this number goes to: each in turn, a publisher to the first.
    pub(crate) fn server(&self, number: usize) -> &Target {
        let turn = number % (1 + self.peers.len());
        turn.checked_sub(1).and_then(|peer| self.peers.get(peer)).unwrap_or(&self.url)
    }

    /// Returns the number of connections: the clients, and a publisher if the load has one of its own.
    pub(crate) const fn connections(&self) -> usize {
        self.clients + self.has_own_publisher() as usize
    }

    /// Whether the first connection publishes what all others receive.
    pub(crate) const fn has_own_publisher(&self) -> bool {
        self.api.is_none() && !matches!(self.load, Load::Idle { .. } | Load::Chat { .. } | Load::Channels { .. })
    }

    /// Whether both make the same load, so that their figures can be compared. How long it lasts, and which client
    /// protocol carries it, is not part of the load.
    pub(crate) fn has_load_of(&self, other: &Self) -> bool {
        self.load == other.load && (self.clients, self.size) == (other.clients, other.size)
    }

    /// Returns how many publisher numbers there are: those of the first connections, of the channels, or of the
    /// connections to the API.
    pub(crate) const fn publishers(&self) -> usize {
        match (&self.load, &self.api) {
            (Load::Idle { .. }, _) => 0,
            (Load::Chat { .. }, _) => self.clients,
            (Load::Channels { channels, .. }, _) => *channels,
            (_, Some(api)) => api.connections,
            (_, None) => 1,
        }
    }
}
