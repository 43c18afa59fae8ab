//! The limits: what one connection, one channel and the whole hub may hold.

use super::error::ConfigError;
use super::section::section;
use super::setting::Kind::{self, Choice};
use super::setting::{byte_rate, bytes, computed, count, duration, duration_or_off, rate, text};
use super::value::choice;
use std::time::Duration;

/// A second in nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// Shortest maximum age of a connection: below it reconnects are most of the work.
const AGE_MIN: u64 = SECOND;

/// Longest one: a month is as good as no limit.
const AGE_MAX: u64 = 30 * 24 * 3600 * SECOND;

/// A time after which a connection is closed.
const fn deadline() -> Kind {
    duration(SECOND / 1000, u64::MAX, "0s would end every connection at once")
}

section! {
    /// What one connection, one channel and the whole hub may hold, and how long a client may take.
    pub struct Limits in "limits" (Once) {
        /// Maximum number of connections, handshakes included. Further ones get 503.
        ///
        /// 0 stands for the default.
        connections_max: usize =
            count("connections", 0, u64::MAX), computed("0", "90 % of RLIMIT_NOFILE"), NewConnections;

        /// Maximum number of channels. A connection that would create a further one gets 503.
        ///
        /// It bounds the memory of the directory of channels.
        channels_max: usize = count("channels", 1, 1 << 32), text("100000"), NewConnections;

        /// Maximum number of handshakes in progress. A new connection then cuts off the oldest one, once that is 0.3 s
        /// old.
        ///
        /// A handshake in progress takes about 18 KB.
        handshakes_max: usize = count("handshakes", 1, 1 << 20), text("1024"), NewConnections;

        /// Time for the head of a request to arrive. A slower client is cut off.
        handshake_timeout: Duration = deadline(), text("5s"), NewConnections;

        /// Maximum size of a message from a client, all fragments together. A larger one closes its connection with
        /// 1009.
        message_bytes_max: usize = bytes(1, 1 << 26), text("65536"), AtOnce;

        /// Maximum number of frames of one message from a client. A further one closes the connection with 1008.
        ///
        /// Empty frames count too: they cost work and no bytes.
        fragments_max: u32 = count("frames", 1, u32::MAX as u64), text("64"), AtOnce;

        /// Time from the first byte of a message to its last. A slower message closes its connection with 1008.
        message_timeout: Duration = deadline(), text("10s"), AtOnce;

        /// Maximum rate of pings and pongs from one connection. More close it with 4013.
        control_rate_max: u32 = rate("frames", 1, u32::MAX as u64), text("50"), AtOnce;

        /// Maximum rate of messages from one connection, with bursts of twice as many. Over it the socket is not read
        /// for up to a second, then the connection is closed with 4013.
        message_rate_max: u32 = rate("messages", 1, 1_000_000), text("50"), AtOnce;

        /// Maximum rate of message bytes from one connection, with bursts of twice as many. Over it the same happens as
        /// for --message-rate-max.
        ///
        /// One message of the largest size (--message-bytes-max) is always allowed.
        message_bytes_rate_max: u32 = byte_rate(1024, u32::MAX as u64), text("262144"), AtOnce;

        /// Maximum number of bytes that wait for one connection. Over it --slow-consumer decides.
        ///
        /// It is also the window of a channel's log, which all waiting connections share, so that a slow connection
        /// takes no memory of its own. It cannot be smaller than --message-bytes-max.
        outbox_bytes_max: usize = bytes(1, 1 << 32), text("1048576"), AtOnce;

        /// Time that a socket may accept no bytes while bytes wait for it. Then the connection is closed with 4008,
        /// unless --slow-consumer is skip.
        outbox_stall_max: Duration = deadline(), text("10s"), AtOnce;

        /// What happens to a connection that cannot keep up: close it with 4008, or skip messages and tell it how many.
        slow_consumer: SlowConsumer = Choice(SlowConsumer::WORDS), text("close"), AtOnce;

        /// Time between two pings to a connection.
        ///
        /// The default is that of gorilla/websocket's chat example. It keeps connections open through proxies with an
        /// idle timeout of a minute.
        ping_interval: Duration = deadline(), text("54s"), AtOnce;

        /// Time to answer a ping. A connection without an answer is closed with 4012.
        ///
        /// It must be shorter than --ping-interval.
        pong_timeout: Duration = deadline(), text("6s"), AtOnce;

        /// Time for a closing connection to take its close frame and to end. Then it is aborted.
        close_timeout: Duration = deadline(), text("5s"), AtOnce;

        /// Maximum age of a connection, 10 % more or less. An older one is closed with 1001. 0s: no limit.
        ///
        /// Clients reconnect, perhaps to another hub: with it connections spread over a fleet again after a deploy.
        connection_age_max: Duration =
            duration_or_off(AGE_MIN, AGE_MAX, "give 0s for no limit"), text("0s"), AtOnce;

        /// Send buffer of a socket (SO_SNDBUF), which the kernel doubles.
        ///
        /// It bounds the kernel memory of a connection that reads nothing.
        send_buffer_bytes: usize = bytes(4096, 1 << 26), text("131072"), Restart;

        /// Number of unsent bytes at which a socket counts as full (TCP_NOTSENT_LOWAT).
        ///
        /// Further bytes wait in the log of their channel, where connections share them.
        notsent_bytes: u32 = bytes(1024, u32::MAX as u64), text("65536"), Restart;
    }
}

choice! {
    /// What happens to a connection that cannot keep up.
    pub enum SlowConsumer {
        /// Close it with 4008 and a reason.
        Close = "close",
        /// Skip publications, and tell it how many.
        Skip = "skip",
    }
}

impl Limits {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
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
