//! Errors of the command line: why a value, or a combination of values, is refused.

use crate::wire::protocol::{CHANNEL, RECORD};
use crate::wire::record::{SIZE_MAX, SIZE_MIN};
use crate::wire::target::Target;
use thiserror::Error;

/// Why a single value is refused.
#[derive(Debug, Error)]
pub(crate) enum ValueError {
    #[error("not a whole number")]
    NotWhole,
    #[error("not a number")]
    NotANumber,
    #[error("must be at least 1")]
    Zero,
    #[error("must be 1 to 64")]
    Processes,
    #[error("must be above 0 (at least 0.000001) and at most 10,000,000")]
    Rate,
    #[error("must be between 0 and 1, as in 0.1")]
    Share,
    #[error("must be above 0 and at most 1, as in 0.1")]
    Limit,
    #[error("must be 0 to 5")]
    Exponent,
    #[error("must be a number from 1 to 254")]
    SourceAddresses,
    #[error("not a whole number of bytes")]
    NotBytes,
    #[error(
        "a record (marker, publisher, sequence, time, checksum, end mark) does not fit in {0} bytes; choose {SIZE_MIN} \
         to {SIZE_MAX}"
    )]
    Size(usize),
    #[error("not a time; write it with its unit, as in 30s, 1m30s or 250ms")]
    Duration,
    #[error("must be above 0")]
    NoTime,
    #[error("must be 1 to 256: each receiver keeps a number for each connection")]
    ApiConnections,
    #[error("must be 1 to 4096")]
    Batch,
    #[error("must be printable ASCII without spaces: it is sent in a header")]
    Key,
    #[error("must be 1 to 200 letters, digits, or _ - . :")]
    Channel,
    #[error("must be one name of letters, digits, and !#$%&'*+-.^_`|~")]
    Subprotocol,
}

/// Why values that are fine one by one are refused together.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    #[error(
        "--clients-low {low} is not below --clients {clients}; the slope needs two different sizes, choose a smaller \
         --clients-low"
    )]
    OneSize { low: usize, clients: usize },
    #[error("idle measures the server's memory; name the server's process with --server-pid")]
    NoServerPid,
    #[error(
        "verifying a chat of --clients {0} needs more than the 1 GiB that a process may use; choose at most 16384, or \
         more --processes and at most {PUBLISHERS_MAX}"
    )]
    ChatTooLarge(usize),
    #[error("--channels {0} exceeds the limit of {PUBLISHERS_MAX}")]
    TooManyChannels(usize),
    #[error("--subscriptions {subscriptions} exceeds --channels {channels}")]
    TooManySubscriptions { subscriptions: usize, channels: usize },
    #[error("--subscriptions {0} needs --protocol centrifuge; with other protocols a connection has one channel")]
    OneChannelOnly(usize),
    #[error(
        "--url {0} names no channel: put {CHANNEL} where the server expects it, as in \
         ws://HOST:PORT/ws?channel={CHANNEL}"
    )]
    NoChannel(Target),
    #[error(
        "--channel {channel} has no place in --url {url}: put {CHANNEL} where the server expects it, as in \
         ws://HOST:PORT/ws?channel={CHANNEL}, or omit --channel"
    )]
    UnusedChannel { channel: String, url: Box<Target> },
    #[error("{flag} would have no effect: {why}; omit it")]
    Unused { flag: &'static str, why: &'static str },
    #[error(
        "--leavers {leavers} is not below --clients {clients}; some have to stay, to see what the return costs them"
    )]
    NobodyStays { leavers: usize, clients: usize },
    #[error("recovery needs --protocol numbered, whose clients know their positions; omit --protocol")]
    NoPositions,
    #[error(
        "--publish api needs a channel: put {CHANNEL} into --url {0} where the server expects it, or name one with \
             --channel"
    )]
    ApiWithoutChannel(Target),
    #[error("--publish api in the scenario {scenario}: {why}")]
    NoApi { scenario: &'static str, why: &'static str },
    #[error("--source-addresses has no effect with --url {0}: IPv6 has one loopback address; use 127.0.0.1")]
    OneSourceAddress(Target),
    #[error("--peer {0} and --url {1}: one is encrypted and one is not; give both ws:// or both wss://")]
    Peer(Box<Target>, Box<Target>),
    #[error("--server-metrics {0} is read without TLS; use an address of the server without TLS")]
    EncryptedMetrics(Target),
    #[error("--publish '{0}' must contain {RECORD} once: that is where the message goes")]
    Publish(String),
    #[error("{0} requires --protocol custom; add that, or omit {0}")]
    CustomOnly(&'static str),
    #[error("{flag} {share} of {clients} clients is none; choose a share of at least one client")]
    EmptyShare { flag: &'static str, share: f64, clients: usize },
}

/// A publisher's number has four hex digits in a record.
pub(super) const PUBLISHERS_MAX: usize = 1 << 16;
