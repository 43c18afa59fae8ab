//! The limits of the hub: what it and its connections may hold.

use super::error::ConfigError;
use super::section::section;
use super::setting::Kind::Choice;
use super::setting::{DAY, SECOND, bytes, computed, count, deadline, duration_or_off, text};
use super::value::choice;
use std::time::Duration;

/// Shortest maximum age of a connection: below it reconnects are most of the work.
const AGE_MIN: u64 = SECOND;

/// Longest one: a month is as good as no limit.
const AGE_MAX: u64 = 30 * DAY;

/// Most connections: as many as a shard can number, far beyond the descriptors of a process.
const CONNECTIONS_MAX: u64 = 1 << 26;

section! {
    /// What the hub and its connections may hold, and how long a client may take.
    pub struct HubLimits in "limits" (Once) {
        /// Maximum number of connections, handshakes included. Further ones get 503.
        ///
        /// 0 stands for the default.
        connections_max: usize =
            count("connections", 0, CONNECTIONS_MAX), computed("0", "90 % of RLIMIT_NOFILE"), NewConnections;

        /// Maximum number of channels. A connection that would create a further one gets 503.
        ///
        /// It bounds the memory of the directory of channels.
        channels_max: usize = count("channels", 1, 1 << 32), text("100000"), NewConnections;

        /// Maximum number of bytes that wait for one connection. Over it a connection that does not drain is closed or
        /// skips, see --slow-consumer.
        ///
        /// It does not drain when its socket accepts no bytes for a tenth of --outbox-stall-max, or when more than this
        /// waits for all of --outbox-stall-max. Over 8 times as many bytes no time is given: that bounds the log of a
        /// channel on a shard, which all waiting connections share, so that a slow connection takes no memory of its
        /// own. It cannot be smaller than --message-bytes-max.
        outbox_bytes_max: usize = bytes(1, 1 << 32), text("1048576"), AtOnce;

        /// Time that a socket may accept no bytes while bytes wait for it. Then the connection is closed with 4008,
        /// unless --slow-consumer is skip.
        ///
        /// A connection with more than --outbox-bytes-max waiting has a tenth of it.
        outbox_stall_max: Duration = deadline(), text("10s"), AtOnce;

        /// Maximum number of bytes that all channels together keep of what was published, for those who come late.
        ///
        /// Over it the channels that keep most drop their oldest publications first.
        history_bytes_max: usize = bytes(0, 1 << 40), text("67108864"), AtOnce;

        /// What happens to a connection that cannot keep up: close it with 4008, or skip messages and tell it how many.
        ///
        /// A client of the Centrifuge protocol that knows its positions where it lags subscribes there again instead.
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

        /// Close code of connections that end because the hub stops, drains or sheds: 1012, service restart, or 1001,
        /// going away.
        ///
        /// Some client libraries do not know 1012, report an error and drop the reason: .NET's ClientWebSocket, old
        /// versions of Starscream, Tyrus and Java-WebSocket. They know 1001.
        drain_close_code: DrainCloseCode = Choice(DrainCloseCode::WORDS), text("1012"), AtOnce;

        /// Maximum age of a connection, 10 % more or less. An older one is closed with 1001. 0s: no limit.
        ///
        /// Clients reconnect, perhaps to another hub: with it connections spread over a fleet again after a deploy.
        connection_age_max: Duration =
            duration_or_off(AGE_MIN, AGE_MAX, "give 0s for no limit"), text("0s"), AtOnce;
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

choice! {
    /// Close code of connections that end because the hub does.
    pub enum DrainCloseCode {
        /// Service restart.
        ServiceRestart = "1012",
        /// Going away.
        GoingAway = "1001",
    }
}

impl HubLimits {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.pong_timeout >= self.ping_interval {
            let Self { pong_timeout, ping_interval, .. } = *self;
            return Err(ConfigError::PongTimeout { pong_timeout, ping_interval });
        }
        Ok(())
    }
}
