//! Flags that every scenario has.

use super::api::{ApiArgs, PUBLISH_API};
use crate::cli::error::ConfigError;
use crate::cli::values;
use crate::config::{Config, Load};
use crate::wire::protocol::{CHANNEL, Custom, Protocol, RECORD};
use crate::wire::target::Target;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// The address of throng on this machine.
const URL_DEFAULT: &str = "ws://127.0.0.1:8080/ws?channel={channel}";

/// The channel of a load that names none. It is not one that people use.
const CHANNEL_DEFAULT: &str = "loadtest";

/// Flags that every scenario has.
#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    /// The server: ws://HOST:PORT/PATH?QUERY, or wss:// (any certificate is accepted). It must run on this machine.
    /// `{channel}` is replaced by the channel.
    #[arg(long, default_value = URL_DEFAULT, value_parser = Target::parse, help_heading = "Target")]
    pub(crate) url: Target,
    /// Another server of the same cluster: ws://HOST:PORT, with the path of --url. May be given several times. Clients
    /// connect to --url and to these in turn, and a publisher to --url.
    #[arg(long = "peer", value_name = "URL", value_parser = Target::parse, help_heading = "Target")]
    pub(crate) peers: Vec<Target>,
    /// The client protocol [default: plain; recovery numbered].
    #[arg(long, alias = "face", value_enum, help_heading = "Target")]
    pub(crate) protocol: Option<ProtocolName>,
    /// The channel to publish in, where `{channel}` stands; in the scenario `channels` the prefix of their names
    /// [default: loadtest].
    #[arg(long, value_parser = values::channel, help_heading = "Target")]
    pub(crate) channel: Option<String>,
    /// custom: the WebSocket subprotocol that every client offers, and that the server has to choose.
    #[arg(long, value_name = "NAME", value_parser = values::subprotocol, help_heading = "Target")]
    pub(crate) subprotocol: Option<String>,
    /// custom: text that every client sends after the handshake; `{channel}` is replaced by the channel.
    #[arg(long, value_name = "TEXT", help_heading = "Target")]
    pub(crate) hello: Option<String>,
    /// custom: a client counts as connected once a line with this text has come.
    #[arg(long, value_name = "TEXT", help_heading = "Target")]
    pub(crate) ready: Option<String>,
    /// `api`: publish through the server's HTTP API. custom: text that a publisher sends; `{record}` is replaced by the
    /// message, `{channel}` by the channel.
    ///
    /// With `api` no connection publishes: messages are sent by POST to /api/publish, or several at once to /api/batch,
    /// over --api-connections that are kept alive. Latency still counts from the intended send time, so it includes the
    /// wait for the answer to the request before; the time of the answers has figures of its own. 429 and 503 are
    /// answered by the pause that they ask for, and counted as refused. Not in the scenarios idle and chat.
    #[arg(long, value_name = "api|TEXT", help_heading = "Target")]
    pub(crate) publish: Option<String>,
    /// custom: text right before a message in a received line [default: messages are found by their own start].
    #[arg(long, value_name = "TEXT", help_heading = "Target")]
    pub(crate) marker: Option<String>,
    #[command(flatten)]
    pub(crate) api: ApiArgs,

    /// Length of the measured window, as in 30s or 1m30s [default: 30s; ramp 5s per step, soak 10m].
    #[arg(long, value_parser = values::duration, help_heading = "Time")]
    pub(crate) duration: Option<Duration>,
    /// Load before the window: verified, but in no figure. idle: rest before a measurement. storm: load after a round.
    #[arg(long, default_value = "5s", value_parser = values::duration, help_heading = "Time")]
    pub(crate) warmup: Duration,
    /// How long to wait, after the last message is sent, for messages that are still in flight.
    #[arg(long, default_value = "10s", value_parser = values::duration, help_heading = "Time")]
    pub(crate) drain: Duration,

    /// New connections per second.
    #[arg(long, default_value = "5000", value_parser = values::rate, help_heading = "Generator")]
    pub(crate) connect_rate: f64,
    /// Spread the clients over this many processes, each with its own thread and descriptors.
    #[arg(long, value_name = "N", default_value = "1", value_parser = values::processes, help_heading = "Generator")]
    pub(crate) processes: usize,
    /// Connect from 127.0.0.1 to 127.0.0.N in turn; one source address has about 28,000 ports.
    #[arg(long, value_name = "N", default_value = "1", value_parser = values::sources, help_heading = "Generator")]
    pub(crate) source_addresses: u8,
    /// Additional receivers that use another WebSocket library (fastwebsockets), as a second opinion.
    #[arg(long, value_name = "N", default_value = "0", help_heading = "Generator")]
    pub(crate) validate: usize,
    /// Repeat every random choice of an earlier run; its report has the seed [default: random].
    #[arg(long, help_heading = "Generator")]
    pub(crate) seed: Option<u64>,

    /// The server's process: its CPU, memory and descriptors, and those of its children, are read from /proc.
    #[arg(long, value_name = "PID", help_heading = "Server")]
    pub(crate) server_pid: Option<u32>,
    /// Prometheus page of the server: http://HOST:PORT/PATH. Adds sends per delivery (throng), and CPU and memory if
    /// there is no PID.
    #[arg(long, value_name = "URL", value_parser = Target::parse, help_heading = "Server")]
    pub(crate) server_metrics: Option<Target>,
    /// The result is INVALID if the generator had to wait for a core for more than this share of the time, or the
    /// hypervisor took more than it: its latencies are then not the server's.
    #[arg(long, value_name = "SHARE", default_value = "0.1", value_parser = values::limit, help_heading = "Generator")]
    pub(crate) generator_waiting_max: f64,
    /// Count the server's system calls with perf, which costs about 100 ns per call.
    #[arg(long, requires = "server_pid", help_heading = "Server")]
    pub(crate) server_syscalls: bool,

    /// A condition, as in 'p99<50ms', 'lost=0', 'server_rss_peak<=100MiB', 'calm.p99<5ms'; if it fails, the exit code
    /// is 1.
    #[arg(long = "assert", value_name = "CONDITION", value_parser = values::condition, help_heading = "Output")]
    pub(crate) asserts: Vec<String>,
    /// Write the whole report, including latency buckets, to this JSON file.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) json: Option<PathBuf>,
    /// Write the report as one self-contained HTML page with charts.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) html: Option<PathBuf>,
    /// Do not show progress.
    #[arg(long, help_heading = "Output")]
    pub(crate) quiet: bool,
}

/// A client protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum ProtocolName {
    /// Every message to all clients, lines joined by newlines: gorilla's chat example, throng's /ws, most demos.
    Plain,
    /// As plain, with the subprotocol throng.numbered: each line begins with its offset and its time, and a client that
    /// returns asks for what it missed.
    Numbered,
    /// The Centrifuge client protocol v2, JSON.
    Centrifuge,
    /// The same in Protobuf.
    CentrifugeProtobuf,
    /// Any other protocol of text messages: see --subprotocol, --hello, --ready, --publish, --marker.
    Custom,
}

impl Common {
    /// Returns the configuration of a load with these flags.
    ///
    /// # Errors
    ///
    /// Fails when a flag does not fit the protocol.
    pub(super) fn config(self, load: Load, clients: usize, size: usize) -> Result<Config, ConfigError> {
        let duration = self.duration.unwrap_or(match load {
            Load::Ramp(_) => Duration::from_secs(5),
            Load::Soak { .. } => Duration::from_secs(600),
            _ => Duration::from_secs(30),
        });
        let api = self.api.config(&self.url, self.publish.as_deref() == Some(PUBLISH_API))?;
        let protocol = self.protocol(&load)?;
        if matches!(load, Load::Idle { .. }) {
            self.check_idle()?;
        }
        if let Some(peer) = self.peers.iter().find(|peer| peer.is_encrypted != self.url.is_encrypted) {
            return Err(ConfigError::Peer(Box::new(peer.clone()), Box::new(self.url)));
        }
        if self.source_addresses > 1 && self.url.address.is_ipv6() {
            return Err(ConfigError::OneSourceAddress(self.url));
        }
        let channel = self.channel(&protocol)?;
        Ok(Config {
            load,
            protocol,
            url: self.url,
            peers: self.peers,
            api,
            channel,
            clients,
            size,
            validators: self.validate,
            duration,
            warmup: self.warmup,
            drain: self.drain,
            connect_rate: self.connect_rate,
            source_addresses: self.source_addresses,
            processes: self.processes,
            seed: self.seed.unwrap_or_else(rand::random),
            generator_waiting_max: self.generator_waiting_max,
            server_pid: self.server_pid,
            server_metrics: self.server_metrics,
            server_syscalls: self.server_syscalls,
            asserts: self.asserts,
            json: self.json,
            html: self.html,
            quiet: self.quiet,
        })
    }

    /// Returns the name of the channel; empty if nothing that is sent to the server contains it.
    fn channel(&self, protocol: &Protocol) -> Result<String, ConfigError> {
        let is_api = self.publish.as_deref() == Some(PUBLISH_API);
        let is_used = self.url.path.contains(CHANNEL) || protocol.names_channel();
        match &self.channel {
            Some(channel) if is_api => Ok(channel.clone()),
            None if is_api && !is_used => Err(ConfigError::ApiWithoutChannel(self.url.clone())),
            Some(channel) if is_used => Ok(channel.clone()),
            Some(channel) => {
                Err(ConfigError::UnusedChannel { channel: channel.clone(), url: Box::new(self.url.clone()) })
            }
            None if is_used => Ok(CHANNEL_DEFAULT.to_owned()),
            None => Ok(String::new()),
        }
    }

    /// Refuses what only a scenario with messages can use.
    fn check_idle(&self) -> Result<(), ConfigError> {
        let unused = [
            ("--publish", self.publish.is_some()),
            ("--marker", self.marker.is_some()),
            ("--server-syscalls", self.server_syscalls),
        ];
        let unused = unused.into_iter().find(|(_, is_given)| *is_given);
        unused.map_or(Ok(()), |(flag, _)| Err(ConfigError::Unused { flag, why: "idle sends no messages" }))
    }

    fn protocol(&self, load: &Load) -> Result<Protocol, ConfigError> {
        let is_recovery = matches!(load, Load::Recovery { .. });
        let usual = if is_recovery { ProtocolName::Numbered } else { ProtocolName::Plain };
        let name = self.protocol.unwrap_or(usual);
        if is_recovery && name != ProtocolName::Numbered {
            return Err(ConfigError::NoPositions);
        }
        let texts = [
            ("--subprotocol", &self.subprotocol),
            ("--hello", &self.hello),
            ("--ready", &self.ready),
            ("--publish", &self.publish.clone().filter(|text| text != PUBLISH_API)),
            ("--marker", &self.marker),
        ];
        let given = texts.iter().find(|(_, text)| text.is_some());
        match (name, given) {
            (ProtocolName::Plain, None) => Ok(Protocol::Plain),
            (ProtocolName::Numbered, None) => Ok(Protocol::Numbered),
            (ProtocolName::Centrifuge, None) => Ok(Protocol::Centrifuge),
            (ProtocolName::CentrifugeProtobuf, None) => Ok(Protocol::CentrifugeProtobuf),
            (ProtocolName::Custom, _) => {
                let publish = self.publish.clone().filter(|text| text != PUBLISH_API);
                let publish = publish.unwrap_or_else(|| RECORD.to_owned());
                if publish.matches(RECORD).count() != 1 {
                    return Err(ConfigError::Publish(publish));
                }
                let (hello, ready) = (self.hello.clone(), self.ready.clone());
                let subprotocol = self.subprotocol.clone();
                let marker = self.marker.clone().unwrap_or_default();
                Ok(Protocol::Custom(Custom { subprotocol, hello, ready, publish, marker }))
            }
            (_, Some((flag, _))) => Err(ConfigError::CustomOnly(flag)),
        }
    }
}
