//! A command line: what can be asked for, and the [`Config`] that it comes to.
//!
//! A `Config` exists only if its values are possible together. Defaults that depend on the scenario are filled in here.

use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory, Parser, ValueEnum, error::ErrorKind};
use serde::{Serialize, Serializer};

use crate::record::{SIZE_MAX, SIZE_MIN};
use crate::target::Target;

const EXIT_CODES: &str = "\
Exit codes:
  0    pass: every delivery verified, nobody closed
  1    fail: lost, duplicated, reordered, corrupt, or closed by the server
  2    bad usage
  3    no server, handshake refused, or another protocol
  4    invalid: the generator was the bottleneck (more than 80 % CPU in an open-loop scenario)
  130  interrupted; the figures are partial";

/// A load generator for WebSocket fan-out: every delivery is verified, latency counts from the intended send time.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// What to find out.
    scenario: Scenario,
    /// The server: ws://HOST:PORT/PATH?QUERY. It must be on this machine.
    #[arg(long, default_value = "ws://127.0.0.1:8080/ws", value_parser = Target::parse)]
    url: Target,
    /// Receivers (idle, fanout, saturate, slow) or members (chat) [default: 10000 idle, 200 slow, else 1000]
    #[arg(long, value_parser = positive)]
    clients: Option<usize>,
    /// idle: connections at the first of the two measurements.
    #[arg(long, default_value = "2000", value_parser = positive)]
    clients_low: usize,
    /// Messages per second: in all (fanout, slow) or per member (chat) [default: 20 fanout, 500 slow, 1 chat]
    #[arg(long, value_parser = rate)]
    rate: Option<f64>,
    /// saturate: messages that may be under way before the publisher's own copy of the oldest is back.
    #[arg(long, default_value = "64", value_parser = positive)]
    window: usize,
    /// Bytes of a message [default: 500 slow, else 64]
    #[arg(long, value_name = "BYTES", value_parser = size)]
    size: Option<usize>,
    /// Length of what is measured, as in 30s or 1m30s; slow measures this long twice.
    #[arg(long, default_value = "30s", value_parser = duration)]
    duration: Duration,
    /// Load before that, verified but in no figure. For idle: the rest before a measurement.
    #[arg(long, default_value = "5s", value_parser = duration)]
    warmup: Duration,
    /// How long to wait, after the last message is sent, for what is still under way.
    #[arg(long, default_value = "10s", value_parser = duration)]
    drain: Duration,
    /// New connections per second.
    #[arg(long, default_value = "5000", value_parser = rate)]
    connect_rate: f64,
    /// Connect from 127.0.0.1 to 127.0.0.N in turn: a source address has some 28,000 ports.
    #[arg(long, value_name = "N", default_value = "1", value_parser = sources)]
    source_addresses: u8,
    /// slow: share of the receivers that stop reading for good.
    #[arg(long, default_value = "0.1", value_parser = share)]
    slow_share: f64,
    /// Process to charge: CPU, RSS and Pss are read from /proc.
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// OpenMetrics page with throng_sends_total and throng_deliveries_total: http://HOST:PORT/PATH
    #[arg(long, value_name = "URL", value_parser = Target::parse)]
    server_metrics: Option<Target>,
    /// Write everything, latency buckets included, to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// No progress while it runs.
    #[arg(long)]
    quiet: bool,
}

/// The question of a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ValueEnum)]
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
    /// What do receivers that stop reading cost the others, and the server?
    Slow,
}

/// Everything a run needs to know.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Config {
    pub(crate) scenario: Scenario,
    pub(crate) url: Target,
    pub(crate) clients: usize,
    pub(crate) clients_low: usize,
    pub(crate) rate: f64,
    pub(crate) window: usize,
    pub(crate) size: usize,
    #[serde(rename = "duration_s", serialize_with = "in_seconds")]
    pub(crate) duration: Duration,
    #[serde(rename = "warmup_s", serialize_with = "in_seconds")]
    pub(crate) warmup: Duration,
    #[serde(rename = "drain_s", serialize_with = "in_seconds")]
    pub(crate) drain: Duration,
    pub(crate) connect_rate: f64,
    pub(crate) source_addresses: u8,
    pub(crate) slow_share: f64,
    pub(crate) server_pid: Option<u32>,
    pub(crate) server_metrics: Option<Target>,
    #[serde(skip)]
    pub(crate) json: Option<PathBuf>,
    #[serde(skip)]
    pub(crate) quiet: bool,
}

fn in_seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

impl Cli {
    /// Fills in the scenario's defaults; the error prints like any other of the command line.
    ///
    /// # Errors
    ///
    /// Fails when two options contradict each other.
    pub(crate) fn into_config(self) -> Result<Config, clap::Error> {
        let (clients, rate, size) = match self.scenario {
            Scenario::Idle => (10_000, 0.0, 64),
            Scenario::Fanout => (1_000, 20.0, 64),
            Scenario::Saturate => (1_000, 0.0, 64),
            Scenario::Chat => (1_000, 1.0, 64),
            Scenario::Slow => (200, 500.0, 500),
        };
        let config = Config {
            scenario: self.scenario,
            url: self.url,
            clients: self.clients.unwrap_or(clients),
            clients_low: self.clients_low,
            rate: self.rate.unwrap_or(rate),
            window: self.window,
            size: self.size.unwrap_or(size),
            duration: self.duration,
            warmup: self.warmup,
            drain: self.drain,
            connect_rate: self.connect_rate,
            source_addresses: self.source_addresses,
            slow_share: self.slow_share,
            server_pid: self.server_pid,
            server_metrics: self.server_metrics,
            json: self.json,
            quiet: self.quiet,
        };
        config.check().map_err(|message| Self::command().error(ErrorKind::ValueValidation, message))?;
        Ok(config)
    }
}

impl Config {
    fn check(&self) -> Result<(), String> {
        let (clients, low) = (self.clients, self.clients_low);
        match self.scenario {
            Scenario::Idle if low >= clients => Err(format!(
                "--clients-low {low} is not below --clients {clients}; the slope needs two sizes, choose a smaller \
                 --clients-low"
            )),
            Scenario::Idle if self.server_pid.is_none() => {
                Err("idle measures the server's memory; name the process with --server-pid".to_owned())
            }
            // A publisher's number has four hex digits in a record.
            Scenario::Chat if clients > 1 << 16 => {
                Err(format!("--clients {clients} is more than the 65536 members a chat can have; choose fewer"))
            }
            Scenario::Slow if !(1..clients).contains(&self.stalled()) => Err(format!(
                "--slow-share {} of {clients} clients stalls {}; choose a share that stalls at least one and not all",
                self.slow_share,
                self.stalled()
            )),
            _ => Ok(()),
        }
    }

    /// Connections in all: a publisher comes on top, unless everybody publishes or nobody.
    pub(crate) const fn connections(&self) -> usize {
        self.clients + matches!(self.scenario, Scenario::Fanout | Scenario::Saturate | Scenario::Slow) as usize
    }

    /// Connections that publish: the first ones.
    pub(crate) const fn publishers(&self) -> usize {
        match self.scenario {
            Scenario::Idle => 0,
            Scenario::Chat => self.clients,
            Scenario::Fanout | Scenario::Saturate | Scenario::Slow => 1,
        }
    }

    /// Receivers that are going to stop reading: the last ones.
    pub(crate) fn stalled(&self) -> usize {
        match self.scenario {
            Scenario::Slow => {
                (1..self.clients).take_while(|n| *n as f64 <= self.clients as f64 * self.slow_share).count()
            }
            _ => 0,
        }
    }
}

fn positive(text: &str) -> Result<usize, String> {
    let value = text.parse().map_err(|_| "not a whole number".to_owned())?;
    if value == 0 { Err("must be at least 1".to_owned()) } else { Ok(value) }
}

fn rate(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if value > 0.0 && value <= 1e7 {
        Ok(value)
    } else {
        Err("must be above 0 and at most 10,000,000 per second".to_owned())
    }
}

fn share(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if value > 0.0 && value < 1.0 { Ok(value) } else { Err("must be between 0 and 1, as in 0.1".to_owned()) }
}

fn sources(text: &str) -> Result<u8, String> {
    let value: u8 = text.parse().map_err(|_| "not a number from 1 to 254".to_owned())?;
    if (1..=254).contains(&value) { Ok(value) } else { Err("not a number from 1 to 254".to_owned()) }
}

fn size(text: &str) -> Result<usize, String> {
    let value: usize = text.parse().map_err(|_| "not a whole number of bytes".to_owned())?;
    if (SIZE_MIN..=SIZE_MAX).contains(&value) {
        return Ok(value);
    }
    Err(format!(
        "{value} bytes can not hold a record (marker, publisher, sequence, time, checksum, end mark); \
         choose {SIZE_MIN} to {SIZE_MAX}"
    ))
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}, write it as in 30s, 250ms or 2m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(line: &str) -> Result<Config, clap::Error> {
        Cli::try_parse_from(line.split(' '))?.into_config()
    }

    #[test]
    fn scenario_decides_the_defaults() {
        let slow = config("loadtest slow").unwrap();
        assert_eq!((slow.clients, slow.rate, slow.size, slow.stalled()), (200, 500.0, 500, 20));
        let chat = config("loadtest chat --rate 2").unwrap();
        assert_eq!((chat.clients, chat.rate, chat.size, chat.publishers()), (1000, 2.0, 64, 1000));
        assert_eq!(config("loadtest fanout").unwrap().connections(), 1001);
    }

    #[test]
    fn size_has_a_lower_bound_and_says_so() {
        assert!(config(&format!("loadtest fanout --size {SIZE_MIN}")).is_ok());
        let text = config(&format!("loadtest fanout --size {}", SIZE_MIN - 1)).unwrap_err().to_string();
        assert!(text.contains("40 bytes can not hold a record"), "{text}");
        assert!(text.contains("choose 41 to"), "{text}");
    }

    #[test]
    fn contradictions_are_refused() {
        assert!(config("loadtest idle --clients 2000 --server-pid 1").is_err());
        assert!(config("loadtest idle").is_err());
        assert!(config("loadtest slow --slow-share 0.001").is_err());
        assert!(config("loadtest fanout --rate 0").is_err());
        assert!(config("loadtest fanout --url ws://192.0.2.1/ws").is_err());
    }
}
