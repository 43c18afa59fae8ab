//! The limits of sockets: what a client may send, how long it may take, and what the kernel buffers for it.

use super::section::section;
use super::setting::{byte_rate, bytes, computed, count, deadline, rate, text};
use std::time::Duration;

section! {
    /// What a client may send, how long it may take, and what its socket may hold.
    pub struct SocketLimits in "limits" (Once) {
        /// Maximum number of handshakes in progress. A new connection then cuts off the oldest one, once that is 0.3 s
        /// old.
        ///
        /// A handshake in progress takes about 18 KB.
        handshakes_max: usize = count("handshakes", 1, 1 << 20), text("1024"), NewConnections;

        /// Time for the head of a request to arrive. A slower client is cut off.
        handshake_timeout: Duration = deadline(), text("5s"), NewConnections;

        /// Time that an HTTP connection may be idle after a response. Then it is closed, which is no refusal.
        ///
        /// It should be longer than a balancer keeps its connections to the hub, 60 s in most: otherwise a request
        /// may arrive just when the connection is closed.
        keep_alive_timeout: Duration = deadline(), text("75s"), NewConnections;

        /// Maximum size of a message from a client, all fragments together. A larger one closes its connection with
        /// 1009.
        message_bytes_max: usize = bytes(1, 1 << 26), text("65536"), AtOnce;

        /// Maximum number of frames of one message from a client. A further one closes the connection with 1008.
        ///
        /// Empty frames count too: they cost work and no bytes. 0 stands for the default, which lets a message come
        /// byte by byte: its bytes and its time bound it.
        fragments_max: u32 =
            count("frames", 0, u32::MAX as u64), computed("0", "one per byte of `message_bytes_max`"), AtOnce;

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

impl SocketLimits {
    /// Fills in what depends on other limits.
    pub(super) fn complete(mut self) -> Self {
        if self.fragments_max == 0 {
            self.fragments_max = u32::try_from(self.message_bytes_max).unwrap_or(u32::MAX);
        }
        self
    }
}
