//! A command: what other threads may ask of a shard.

use super::ConnectionId;
use super::channel::{Channel, ChannelKey};
use super::inspection::Inspection;
use crate::config::HubLimits;
use crate::protocol::CloseReason;
use bytes::Bytes;
use std::sync::Arc;

/// What a shard is asked to do, in the order of its inbox.
#[derive(Debug)]
pub enum Command<S> {
    /// A connection was placed here; its writes go to `sink`.
    Connect {
        /// Who.
        id: ConnectionId,
        /// Where its bytes go.
        sink: S,
    },
    /// The reader of a connection has ended: its slot becomes free.
    Disconnect {
        /// Who.
        id: ConnectionId,
    },
    /// A connection gets the publications of a channel from here on.
    Subscribe {
        /// Who.
        id: ConnectionId,
        /// To what.
        channel: Arc<Channel>,
    },
    /// A publication of a channel that has subscribers here.
    Publish(Publication),
    /// The peer sent a ping with this body.
    Ping {
        /// Who.
        id: ConnectionId,
        /// At most 125 bytes.
        body: Bytes,
    },
    /// The peer answered our ping.
    Pong {
        /// Who.
        id: ConnectionId,
    },
    /// End a connection; its backlog is dropped.
    Close {
        /// Who.
        id: ConnectionId,
        /// Told to the peer.
        reason: CloseReason,
    },
    /// End that many open connections, each after its backlog; who comes next in the order of slots.
    CloseSome {
        /// How many. Fewer when there are not so many.
        count: usize,
        /// Told to the peers.
        reason: CloseReason,
    },
    /// Keep to these limits from here on.
    Limits(Arc<HubLimits>),
    /// Look at some connections and tell what is seen.
    Inspect(Inspection),
    /// Memory is short: end those who keep the older half of a large log.
    CloseSlowest,
    /// End every connection, each after its backlog.
    CloseAll {
        /// Told to the peers.
        reason: CloseReason,
    },
}

impl<S> Command<S> {
    /// Returns the bytes of the body that its credits paid for.
    pub(super) fn body_bytes(&self) -> usize {
        if let Self::Publish(publication) = self { publication.body.len() } else { 0 }
    }
}

/// One message in a channel, encoded once for all who receive it.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The channel it was published to.
    pub channel: ChannelKey,
    /// Its number in the channel, from 1, without gaps.
    pub offset: u64,
    /// When it arrived, in microseconds since the hub's start; 0 when nobody asked the clock.
    pub at: u64,
    /// Its bytes as a log holds them, separator included, see [`Encoding`](crate::protocol::Encoding).
    pub body: Bytes,
}
