//! A configuration: what the operator decides, parsed once; that it exists proves that it is valid.
//!
//! Every key is a flag and a `THRONG_` variable. Defaults and their texts stand here and nowhere else: `--help` prints
//! them, and a test holds the README's table to them.

mod tuning;

pub use tuning::Tuning;

use clap::builder::RangedU64ValueParser;
use clap::{Args, CommandFactory, FromArgMatches, Parser, ValueEnum};
use humantime::parse_duration;
use std::time::Duration;
use thiserror::Error;

/// What the operator decides.
#[derive(Clone, Debug, Parser)]
#[command(name = "throng", version, about = "A WebSocket fan-out hub.", max_term_width = 120)]
#[command(after_help = "Open the printed address in a browser for the chat page. \
    SIGTERM or Ctrl-C stops the hub gracefully, a second one at once.")]
pub struct Config {
    /// Address to listen on, HOST:PORT or :PORT. Port 0 picks a free one and prints it.
    #[arg(long, env = "THRONG_ADDR", default_value = "0.0.0.0:8080", value_name = "HOST:PORT")]
    pub addr: String,

    /// Number of shards, 1 to 64. Default: the cores that the process may run on. More than cores gains nothing.
    #[arg(long, env = "THRONG_SHARDS", value_name = "N", value_parser = ranged(1..=64))]
    pub shards: Option<usize>,

    /// Serve /echo for conformance tests: every connection gets back what it sends. Needs a loopback --addr.
    #[arg(long, env = "THRONG_ECHO")]
    pub echo: bool,

    /// What bounds things.
    #[command(flatten)]
    pub limits: Limits,

    /// What trades one good for another.
    #[command(flatten)]
    pub tuning: Tuning,
}

/// The part of the configuration that bounds things.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Connections at once, handshakes included. Beyond it: 503. Default: 0.9 of the descriptors the process may open.
    #[arg(long, env = "THRONG_CONNECTIONS_MAX", default_value_t = 0, hide_default_value = true, value_name = "N")]
    pub connections_max: usize,

    /// Channels at once. A connection that would make one more is refused with 503. Bounds the directory.
    #[arg(
        long,
        env = "THRONG_CHANNELS_MAX",
        default_value_t = 100_000,
        value_name = "N",
        value_parser = ranged(1..=1 << 32),
    )]
    pub channels_max: usize,

    /// Handshakes in progress, about 18 KB each. Beyond it new connections wait in the kernel's queue.
    #[arg(
        long,
        env = "THRONG_HANDSHAKES_MAX",
        default_value_t = 1024,
        value_name = "N",
        value_parser = ranged(1..=1 << 20),
    )]
    pub handshakes_max: usize,

    /// Time for a request's head to arrive. A slower peer is cut off.
    #[arg(
        long,
        env = "THRONG_HANDSHAKE_TIMEOUT",
        default_value = "5s",
        value_name = "TIME",
        value_parser = parse_duration,
    )]
    pub handshake_timeout: Duration,

    /// Bytes of one message from a client, fragments summed. A larger one closes its connection with 1009.
    #[arg(
        long,
        env = "THRONG_MESSAGE_BYTES_MAX",
        default_value_t = 65_536,
        value_name = "BYTES",
        value_parser = ranged(1..=1 << 26),
    )]
    pub message_bytes_max: usize,

    /// Frames of one message from a client, empty ones included. More close its connection with 1008.
    #[arg(
        long,
        env = "THRONG_FRAGMENTS_MAX",
        default_value_t = 64,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..),
    )]
    pub fragments_max: u32,

    /// Time from the first byte of a message to its last. A slower one closes its connection with 1008.
    #[arg(
        long,
        env = "THRONG_MESSAGE_TIMEOUT",
        default_value = "10s",
        value_name = "TIME",
        value_parser = parse_duration,
    )]
    pub message_timeout: Duration,

    /// Pings and pongs that a client may send per second. More close its connection with 4013.
    #[arg(
        long,
        env = "THRONG_CONTROL_RATE_MAX",
        default_value_t = 50,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..),
    )]
    pub control_rate_max: u32,

    /// Bytes that may wait for one connection, and so the window of a channel's log, which all who wait share. Beyond
    /// it --slow-consumer decides.
    #[arg(
        long,
        env = "THRONG_OUTBOX_BYTES_MAX",
        default_value_t = 1_048_576,
        value_name = "BYTES",
        value_parser = ranged(1..=1 << 32),
    )]
    pub outbox_bytes_max: usize,

    /// Time that a socket may take nothing while bytes wait for it. Beyond it: closed with 4008, or left alone by skip.
    #[arg(
        long,
        env = "THRONG_OUTBOX_STALL_MAX",
        default_value = "10s",
        value_name = "TIME",
        value_parser = parse_duration,
    )]
    pub outbox_stall_max: Duration,

    /// What happens to a connection that can not keep up: close it with 4008, or skip ahead and tell it what it missed.
    #[arg(long, env = "THRONG_SLOW_CONSUMER", default_value = "close", value_name = "POLICY")]
    pub slow_consumer: SlowConsumer,

    /// Time between two pings to a connection, as in the chat example of gorilla/websocket.
    #[arg(
        long,
        env = "THRONG_PING_INTERVAL",
        default_value = "54s",
        value_name = "TIME",
        value_parser = parse_duration,
    )]
    pub ping_interval: Duration,

    /// Time for the answer to a ping; shorter than --ping-interval. A missing answer closes the connection with 4012.
    #[arg(
        long,
        env = "THRONG_PONG_TIMEOUT",
        default_value = "6s",
        value_name = "TIME",
        value_parser = parse_duration,
    )]
    pub pong_timeout: Duration,

    /// Time for a closing connection to take its close frame and to end. Beyond it: aborted.
    #[arg(
        long,
        env = "THRONG_CLOSE_TIMEOUT",
        default_value = "5s",
        value_name = "TIME",
        value_parser = parse_duration,
    )]
    pub close_timeout: Duration,

    /// Time for all connections to end after SIGTERM. Beyond it the process exits, still with 0.
    #[arg(
        long,
        env = "THRONG_SHUTDOWN_TIMEOUT",
        default_value = "10s",
        value_name = "TIME",
        value_parser = parse_duration,
    )]
    pub shutdown_timeout: Duration,

    /// Send buffer of a socket; the kernel doubles it. What a stalled connection costs the kernel at most.
    #[arg(
        long,
        env = "THRONG_SEND_BUFFER_BYTES",
        default_value_t = 131_072,
        value_name = "BYTES",
        value_parser = ranged(4096..=1 << 26),
    )]
    pub send_buffer_bytes: usize,

    /// Unsent bytes at which a socket counts as full (TCP_NOTSENT_LOWAT): the rest waits in the log, where it is
    /// shared.
    #[arg(
        long,
        env = "THRONG_NOTSENT_BYTES",
        default_value_t = 65_536,
        value_name = "BYTES",
        value_parser = clap::value_parser!(u32).range(1024..),
    )]
    pub notsent_bytes: u32,
}

/// What happens to a connection that can not keep up.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum SlowConsumer {
    /// Close it with 4008 and a reason.
    Close,
    /// Skip ahead, and tell it how many publications it missed.
    Skip,
}

/// Settings that do not fit each other, or a time that is not safe.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum ConfigError {
    /// A ping must be answered before the next one.
    #[error(
        "--pong-timeout {} is not shorter than --ping-interval {}; lower the first or raise the second",
        humantime::format_duration(*pong_timeout),
        humantime::format_duration(*ping_interval)
    )]
    PongTimeout {
        /// As given.
        pong_timeout: Duration,
        /// As given.
        ping_interval: Duration,
    },
    /// One message of the largest size has to fit the outbox.
    #[error(
        "--outbox-bytes-max {outbox} is smaller than --message-bytes-max {message}: one message would close every \
         subscriber that is not idle; raise the first or lower the second"
    )]
    OutboxTooSmall {
        /// As given.
        outbox: usize,
        /// As given.
        message: usize,
    },
    /// A deadline of zero would end every connection at once.
    #[error("--{flag} is 0s, which would end every connection at once; give at least 1ms")]
    ZeroTime {
        /// The flag without its dashes.
        flag: &'static str,
    },
    /// A time is outside of what is safe.
    #[error(
        "--{flag} {} is not between {} and {}; {advice}",
        humantime::format_duration(*value),
        humantime::format_duration(range.0),
        humantime::format_duration(range.1)
    )]
    TimeOutOfRange {
        /// The flag without its dashes.
        flag: &'static str,
        /// As given.
        value: Duration,
        /// The least and the most.
        range: (Duration, Duration),
        /// What to give instead.
        advice: &'static str,
    },
    /// Echo is a tool for tests.
    #[error("--echo needs a loopback --addr, not {addr}; use 127.0.0.1:PORT or leave --echo out")]
    EchoInPublic {
        /// As given.
        addr: String,
    },
}

fn ranged(range: std::ops::RangeInclusive<u64>) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(range)
}

impl Config {
    /// Fills in what depends on the machine and checks the settings against each other.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the settings that do not fit, their values and what to do.
    pub fn complete(mut self, cores: usize, descriptors: u64) -> Result<Self, ConfigError> {
        self.shards = Some(self.shards.unwrap_or(cores).clamp(1, 64));
        self.tuning.threads = Some(self.tuning.threads.unwrap_or(cores).max(1));
        if self.limits.connections_max == 0 {
            self.limits.connections_max = usize::try_from(descriptors / 10 * 9).unwrap_or(usize::MAX).max(1);
        }
        if let Some(port) = self.addr.strip_prefix(':') {
            self.addr = format!("0.0.0.0:{port}");
        }
        self.limits.check()?;
        self.tuning.check()?;
        let host = self.addr.rsplit_once(':').map_or("", |(host, _)| host);
        if self.echo && !["127.0.0.1", "localhost", "[::1]"].contains(&host) {
            return Err(ConfigError::EchoInPublic { addr: self.addr });
        }
        Ok(self)
    }

    /// Returns the number of shards of a completed configuration.
    pub fn shards(&self) -> usize {
        self.shards.unwrap_or(1)
    }
}

impl Default for Config {
    /// The documented defaults, whatever the environment says, with one shard and 1,000 connections.
    fn default() -> Self {
        let command = Self::command().mut_args(|arg| arg.env(None));
        let matches = command.get_matches_from(["throng", "--shards", "1", "--connections-max", "1000"]);
        let Ok(config) = Self::from_arg_matches(&matches) else {
            unreachable!("the defaults parse, as every start shows")
        };
        config
    }
}

impl Default for Limits {
    fn default() -> Self {
        Config::default().limits
    }
}

impl Default for Tuning {
    fn default() -> Self {
        Config::default().tuning
    }
}

impl Limits {
    fn check(&self) -> Result<(), ConfigError> {
        for (flag, time) in [
            ("handshake-timeout", self.handshake_timeout),
            ("message-timeout", self.message_timeout),
            ("outbox-stall-max", self.outbox_stall_max),
            ("ping-interval", self.ping_interval),
            ("pong-timeout", self.pong_timeout),
            ("close-timeout", self.close_timeout),
            ("shutdown-timeout", self.shutdown_timeout),
        ] {
            if time < Duration::from_millis(1) {
                return Err(ConfigError::ZeroTime { flag });
            }
        }
        if self.pong_timeout >= self.ping_interval {
            let Self { pong_timeout, ping_interval, .. } = *self;
            return Err(ConfigError::PongTimeout { pong_timeout, ping_interval });
        }
        if self.outbox_bytes_max < self.message_bytes_max {
            return Err(ConfigError::OutboxTooSmall { outbox: self.outbox_bytes_max, message: self.message_bytes_max });
        }
        Ok(())
    }
}
