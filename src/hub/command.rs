//! Commands: what other threads may ask of a shard.

use super::ConnectionId;
use super::channel::Channel;
use super::channel_key::ChannelKey;
use super::inspection::Inspection;
use super::reply::ReplyPermit;
use crate::config::HubLimits;
use crate::protocol::backlog::Backlog;
use crate::protocol::{CloseReason, Encoding, PresenceEvent, Publication};
use bytes::Bytes;
use std::sync::Arc;

/// What a shard is asked to do, in the order of its inbox.
#[derive(Debug)]
pub enum Command<S> {
    /// A connection was placed here; its writes go to `sink`.
    Connect {
        /// The connection, whose slot is free.
        id: ConnectionId,
        /// The write side, which the shard owns from here on.
        sink: S,
        /// How it gets its messages.
        shape: MessageShape,
    },
    /// The reader of a connection has ended: its slot becomes free.
    Disconnect {
        /// The connection; the channels must not count it any more.
        id: ConnectionId,
    },
    /// A connection gets the publications of a channel from here on.
    Subscribe {
        /// The connection, which the channel counts already.
        id: ConnectionId,
        /// The channel to read from.
        channel: Arc<Channel>,
        /// What the connection gets first.
        backlog: Backlog,
        /// Pays for it; `None` where it is bounded because a connection subscribes once.
        permit: Option<ReplyPermit>,
    },
    /// Send a connection nothing until it is released.
    Hold {
        /// The connection.
        id: ConnectionId,
    },
    /// Send a connection what has waited.
    Release {
        /// The connection.
        id: ConnectionId,
    },
    /// Frames that a connection gets before what is published from here on.
    Reply {
        /// The connection.
        id: ConnectionId,
        /// Whole frames.
        frames: Bytes,
        /// Pays for them until they have left.
        permit: ReplyPermit,
    },
    /// A connection gets no more of a channel from here on.
    Unsubscribe {
        /// The connection, which the channel does not count any more.
        id: ConnectionId,
        /// The channel.
        channel: ChannelKey,
    },
    /// A publication of a channel that has subscribers here.
    Publish {
        /// The channel it was published to.
        channel: ChannelKey,
        /// What was published.
        publication: Publication,
    },
    /// The subscribers of a channel have changed.
    Announce {
        /// The channel.
        channel: ChannelKey,
        /// Their number, on all shards; `None` if nobody is told that.
        subscribers: Option<u32>,
        /// Who has joined and left.
        events: Arc<[PresenceEvent]>,
    },
    /// Publications of a channel that its subscribers should have got here cannot be had any more.
    DeclareGap {
        /// The channel.
        channel: ChannelKey,
    },
    /// The peer sent a ping with this body.
    Ping {
        /// The connection to answer.
        id: ConnectionId,
        /// Returned in the pong; at most 125 bytes.
        body: Bytes,
    },
    /// The peer answered our ping, or is ready for the first.
    Pong {
        /// The connection that is alive.
        id: ConnectionId,
    },
    /// Close a connection; its backlog is dropped.
    Close {
        /// The connection to close.
        id: ConnectionId,
        /// Sent to the peer in the close frame.
        reason: CloseReason,
    },
    /// Close a connection if it is subscribed to a channel; its backlog is dropped.
    CloseSubscriber {
        /// The connection to close.
        id: ConnectionId,
        /// The channel.
        channel: ChannelKey,
        /// Sent to the peer in the close frame.
        reason: CloseReason,
    },
    /// Close the next connections in the order of slots, each after its backlog.
    CloseSome {
        /// Number of connections; when fewer are open, all of them.
        count: usize,
        /// Sent to the peers in the close frames.
        reason: CloseReason,
    },
    /// Follow these limits from here on.
    Limits(Arc<HubLimits>),
    /// Look at some connections and reply with what is seen.
    Inspect(Inspection),
    /// Memory is short: close the subscribers that keep the older half of a large log, and full sockets.
    CloseSlowest,
    /// Close every connection, each after its backlog, and every one that still comes.
    CloseAll {
        /// Sent to the peers in the close frames.
        reason: CloseReason,
    },
}

impl<S> Command<S> {
    /// Returns the bytes of the body that its credits paid for.
    pub(super) fn body_bytes(&self) -> usize {
        match self {
            Self::Publish { publication, .. } => publication.payload.len(),
            Self::Subscribe { backlog, .. } => backlog.wire.len(),
            Self::Reply { frames, .. } => frames.len(),
            Self::Announce { events, .. } => events.iter().map(PresenceEvent::bytes).sum(),
            _ => 0,
        }
    }
}

/// How a connection gets its messages. The default is what most have, and what costs least.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MessageShape {
    /// How publications and control messages become bytes.
    pub encoding: Encoding,
    /// Each publication is a message of its own, however many wait.
    pub is_split: bool,
    /// With each ping comes a text message, which a page in a browser can see.
    pub has_signs_of_life: bool,
}
