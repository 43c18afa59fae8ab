//! Why settings that can be read cannot be used: one is out of range, or two do not fit each other.

use super::section::FieldError;
use super::tables::TableKey;
use super::value::ValueError;
use std::time::Duration;
use thiserror::Error;

/// Settings that cannot be used. The text names them, their values and what to do.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum ConfigError {
    /// A value is out of range, or not a value of its setting.
    #[error("--{flag} {error}")]
    Value {
        /// The flag without its dashes.
        flag: String,
        /// What is wrong with its value.
        error: ValueError,
    },
    /// A table of a list lacks a key, or its keys do not fit each other or another table.
    #[error("{label}: {text}")]
    Table {
        /// Which key of which table.
        at: TableKey,
        /// The list and the name of the table, as `[[namespace]] chat`.
        label: String,
        /// What is wrong, and what to do.
        text: String,
    },
    /// Options of the default namespace contradict each other.
    #[error("{text}")]
    DefaultNamespace {
        /// Which, and what to do.
        text: String,
    },
    /// A rule about tokens without a key to verify them with.
    #[error(
        "--{flag} is set, and no token could be verified: add a [[token_key]] to the file or give --jwks-url, or leave \
         it out"
    )]
    NoTokenKeys {
        /// The flag without its dashes.
        flag: &'static str,
    },
    /// A namespace leaves a decision to the application, and nothing says where that is.
    #[error(
        "allow_{setting} is hook, and there is no [[hook]] with the name {setting}; add one, or let allow_{setting} be \
         another word"
    )]
    NoHook {
        /// What the application decides.
        setting: &'static str,
    },
    /// One setting of events without the other.
    #[error("--{given} needs --{missing}; give both, or neither")]
    Events {
        /// The flag that is given, without its dashes.
        given: &'static str,
        /// The flag that is not.
        missing: &'static str,
    },
    /// Settings of a cluster contradict each other.
    #[error("{text}")]
    Cluster {
        /// Which, and what to do.
        text: String,
    },
    /// Without an address nothing could reach the hub.
    #[error("--addr is an empty list; give at least one address, or leave it out for :8080")]
    NoAddress,
    /// Two addresses cannot be opened together.
    #[error("the addresses {one} and {other} of --addr and --internal-addr exclude each other; leave one out")]
    Conflict {
        /// The one that comes first.
        one: String,
        /// The other.
        other: String,
    },
    /// A ping must be answered before the next one is sent.
    #[error(
        "--pong-timeout {} is not shorter than --ping-interval {}; lower the first or raise the second",
        humantime::format_duration(*pong_timeout),
        humantime::format_duration(*ping_interval)
    )]
    PongTimeout {
        /// Time to answer a ping.
        pong_timeout: Duration,
        /// Time between two pings.
        ping_interval: Duration,
    },
    /// An outbox must have room for a message of the largest size.
    #[error(
        "--outbox-bytes-max {outbox} is smaller than --message-bytes-max {message}: one message would close every \
         subscriber that is not idle; raise the first or lower the second"
    )]
    OutboxTooSmall {
        /// Bytes of an outbox.
        outbox: usize,
        /// Bytes of a message.
        message: usize,
    },
    /// The hub would refuse every connection.
    #[error(
        "--memory-max {memory} is less than the {needed} that a hub with {shards} shards needs; raise it or lower \
         --shards"
    )]
    MemoryTooSmall {
        /// The budget in bytes.
        memory: u64,
        /// The number of shards.
        shards: usize,
        /// Bytes that they need.
        needed: u64,
    },
    /// Other machines could read metrics and use the operator API without a key.
    #[error(
        "--internal-addr {addr} can be reached from other machines and there is no --admin-keys; give a key of at \
         least 16 characters, or a loopback address"
    )]
    InternalAddrWithoutKey {
        /// The address.
        addr: String,
    },
    /// No balancer could connect to an address with the PROXY protocol.
    #[error(
        "--addr {addr} takes connections of balancers only, and there is no --trusted-proxies; name their addresses \
         (127.0.0.1 for a Unix socket), or leave proxy+ out"
    )]
    NoTrustedProxies {
        /// The address.
        addr: String,
    },
    /// An encrypted address needs a certificate.
    #[error(
        "the address {addr} is encrypted, which needs --tls-certificate and --tls-key; name both files, or leave tls+ \
         out"
    )]
    NoCertificate {
        /// The address.
        addr: String,
    },
    /// A certificate without an encrypted address is never shown.
    #[error(
        "--tls-certificate and --tls-key are for encrypted addresses, and there is none; write --addr tls+HOST:PORT, \
         or leave them out"
    )]
    UnusedCertificate,
    /// The program was built without support for traces.
    #[error("--otlp-endpoint needs a build that can send traces: cargo build --release --features otel")]
    NoTraces,
    /// Echo is for tests on this machine.
    #[error("--echo needs a loopback --addr, not {addr}; use 127.0.0.1:PORT or leave --echo out")]
    EchoInPublic {
        /// The address.
        addr: String,
    },
}

impl ConfigError {
    /// Returns which key of which table it is about, if it is about a table of a list.
    pub(super) fn table_key(&self) -> Option<TableKey> {
        if let Self::Table { at, .. } = self { Some(*at) } else { None }
    }
}

impl From<FieldError> for ConfigError {
    fn from(FieldError { setting, error, table }: FieldError) -> Self {
        let Some(at) = table else { return Self::Value { flag: setting.flag(), error } };
        let text = match error {
            ValueError::Range { .. } => format!("{}: {error}", at.key),
            // What a file has was checked when it was read, so it is missing.
            _ => format!("there is no {}; every table of this list needs one", at.key),
        };
        Self::Table { at, label: format!("[[{}]] number {}", at.section, at.number + 1), text }
    }
}
