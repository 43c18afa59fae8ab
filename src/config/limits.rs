//! The limits: what one connection, one channel and the whole hub may hold.

use super::{ConfigError, ranged};
use clap::{Args, ValueEnum};
use humantime::parse_duration;
use std::time::Duration;

/// Shortest life that a connection may be given: below it reconnects are most of the work.
const AGE_MIN: Duration = Duration::from_secs(1);

/// Longest one: a month is no limit any more.
const AGE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

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

    /// Handshakes in progress, about 18 KB each. Beyond it a newcomer cuts off the oldest one, once that is 0.3 s old.
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

    /// Messages per second from one connection, twice as many at once. Beyond it the socket is not read for up to a
    /// second, and then closed with 4013.
    #[arg(
        long,
        env = "THRONG_MESSAGE_RATE_MAX",
        default_value_t = 50,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000),
    )]
    pub message_rate_max: u32,

    /// Bytes of messages per second from one connection, twice as many at once or one message of the largest size.
    /// Beyond it as for --message-rate-max.
    #[arg(
        long,
        env = "THRONG_MESSAGE_BYTES_RATE_MAX",
        default_value_t = 262_144,
        value_name = "BYTES",
        value_parser = clap::value_parser!(u32).range(1024..),
    )]
    pub message_bytes_rate_max: u32,

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

    /// Longest life of a connection, give or take 10 %; then it is closed with 1001 and comes back, perhaps to another
    /// hub. 0s: as long as it likes.
    #[arg(
        long,
        env = "THRONG_CONNECTION_AGE_MAX",
        default_value = "0s",
        value_name = "TIME",
        value_parser = parse_duration,
    )]
    pub connection_age_max: Duration,

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

impl Limits {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for (flag, time) in [
            ("handshake-timeout", self.handshake_timeout),
            ("message-timeout", self.message_timeout),
            ("outbox-stall-max", self.outbox_stall_max),
            ("ping-interval", self.ping_interval),
            ("pong-timeout", self.pong_timeout),
            ("close-timeout", self.close_timeout),
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
        if !self.connection_age_max.is_zero() && !(AGE_MIN..=AGE_MAX).contains(&self.connection_age_max) {
            return Err(ConfigError::TimeOutOfRange {
                flag: "connection-age-max",
                value: self.connection_age_max,
                range: (AGE_MIN, AGE_MAX),
                advice: "give 0s for no limit",
            });
        }
        Ok(())
    }
}
