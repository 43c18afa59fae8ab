//! A configuration: what the operator decides, parsed once; that it exists proves that it is valid.
//!
//! Every key is a flag and a `THRONG_` variable. Defaults and their texts stand here and nowhere else: `--help` prints
//! them, and a test holds the README's table to them.

pub mod access;
pub mod address;
pub mod admission;
pub mod doc;
pub mod encryption;
pub mod file;
pub mod limits;
pub mod logging;
pub mod reload;
pub mod source;
pub mod stopping;
pub mod tuning;

pub use access::{Access, Key, OriginPattern};
pub use address::{Address, Place};
pub use admission::Admission;
pub use encryption::Encryption;
pub use limits::{Limits, SlowConsumer};
pub use logging::{LogFormat, Logging};
pub use source::{LoadError, Loaded, Sources};
pub use stopping::Stopping;
pub use tuning::Tuning;

use clap::builder::RangedU64ValueParser;
use clap::{CommandFactory, FromArgMatches, Parser};
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// What the operator decides.
#[derive(Clone, Debug, Parser)]
#[command(name = "throng", version, about = "A WebSocket fan-out hub.", max_term_width = 120)]
#[command(after_help = "Open the printed address in a browser for the chat page. \
    SIGTERM drains the hub and stops it, Ctrl-C stops it now after what is pending; a second one at once.\n\n\
    Commands, each with --help:\n  \
    throng check-config [FILE]  says what is wrong with the settings, and where\n  \
    throng default-config       prints a file with every setting\n  \
    throng config-doc           prints the reference of the settings\n  \
    throng top                  shows a running hub, live")]
pub struct Config {
    /// TOML file with settings, of which variables and flags beat what they say too. SIGHUP reads it again.
    #[arg(long, env = "THRONG_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Addresses to listen on: HOST:PORT, :PORT or unix:PATH. Each may begin with tls+, and then speaks TLS 1.2 and 1.3
    /// with --tls-certificate, and before that with proxy+, and then every connection has to begin with a header of the
    /// PROXY protocol. Port 0 picks a free one and prints it.
    #[arg(
        long,
        env = "THRONG_ADDR",
        default_value = "0.0.0.0:8080",
        value_delimiter = ',',
        value_name = "ADDRESS,...",
        required = false
    )]
    pub addr: Vec<Address>,

    /// Address for operators and their tools, written like --addr: /health, /metrics and /admin, and no clients. With
    /// it the latter two are not on --addr any more; without it --addr has /metrics for this very machine only. Other
    /// than loopback needs --admin-keys.
    #[arg(long, env = "THRONG_INTERNAL_ADDR", value_name = "ADDRESS")]
    pub internal_addr: Option<Address>,

    /// Number of shards, 1 to 64. Default: the cores that the process may run on. More than cores gains nothing.
    #[arg(long, env = "THRONG_SHARDS", value_name = "N", value_parser = ranged(1..=64))]
    pub shards: Option<usize>,

    /// Serve /echo for conformance tests: every connection gets back what it sends. Needs a loopback --addr.
    #[arg(long, env = "THRONG_ECHO")]
    pub echo: bool,

    /// Who may come.
    #[command(flatten)]
    pub access: Access,

    /// Who the hub is.
    #[command(flatten)]
    pub encryption: Encryption,

    /// How much one client may take.
    #[command(flatten)]
    pub admission: Admission,

    /// What bounds things.
    #[command(flatten)]
    pub limits: Limits,

    /// How it ends.
    #[command(flatten)]
    pub stopping: Stopping,

    /// What is written.
    #[command(flatten)]
    pub logging: Logging,

    /// What trades one good for another.
    #[command(flatten)]
    pub tuning: Tuning,
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
    /// Metrics and controls are not for everybody.
    #[error(
        "--internal-addr {addr} can be reached from other machines and there is no --admin-keys; give a key of at \
         least 16 characters, or a loopback address"
    )]
    InternalInPublic {
        /// As given.
        addr: String,
    },
    /// A balancer that nobody trusts could not get in.
    #[error(
        "--addr {addr} takes connections of balancers only, and there is no --trusted-proxies; name their addresses \
         (127.0.0.1 for a Unix socket), or leave proxy+ out"
    )]
    NobodyTrusted {
        /// As given.
        addr: String,
    },
    /// Encryption needs a certificate.
    #[error(
        "the address {addr} is encrypted, which needs --tls-certificate and --tls-key; name both files, or leave tls+ \
         out"
    )]
    NoCertificate {
        /// As given.
        addr: String,
    },
    /// A certificate that nobody would ever see.
    #[error(
        "--tls-certificate and --tls-key are for encrypted addresses, and there is none; write --addr tls+HOST:PORT, \
         or leave them out"
    )]
    NothingEncrypted,
    /// The program was built without what sends traces.
    #[error("--otlp-endpoint needs a build that can send traces: cargo build --release --features otel")]
    NoTraces,
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
        self.limits.check()?;
        self.stopping.check()?;
        self.tuning.check()?;
        self.logging.check()?;
        self.check_listeners()?;
        Ok(self)
    }

    fn check_listeners(&self) -> Result<(), ConfigError> {
        if let Some(addr) = self.addr.iter().find(|addr| self.echo && !addr.is_local()) {
            return Err(ConfigError::EchoInPublic { addr: addr.to_string() });
        }
        if let Some(addr) = self.internal_addr.iter().find(|addr| !addr.is_local() && self.access.admin_keys.is_empty())
        {
            return Err(ConfigError::InternalInPublic { addr: addr.to_string() });
        }
        self.encryption.check(self.addr.iter().chain(&self.internal_addr))?;
        let proxied = self.addr.iter().chain(&self.internal_addr).find(|addr| addr.has_proxy_protocol);
        match proxied.filter(|_| self.access.trusted_proxies.is_empty()) {
            Some(addr) => Err(ConfigError::NobodyTrusted { addr: addr.to_string() }),
            None => Ok(()),
        }
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

impl Default for Admission {
    fn default() -> Self {
        Config::default().admission
    }
}
