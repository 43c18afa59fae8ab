//! An observer: learns of clients and channels that come and go, if there is one.
//!
//! Nothing is told per publication. Without an observer a subscription costs one look at an empty place.

use super::ConnectionId;
use crate::protocol::ChannelName;
use std::fmt;

/// Who or what has come or gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change<'a> {
    /// A client is connected.
    Connected(ConnectionId),
    /// It is not any more.
    Disconnected(ConnectionId),
    /// A client is subscribed to a channel.
    Subscribed(ConnectionId, &'a ChannelName),
    /// It is not any more.
    Unsubscribed(ConnectionId, &'a ChannelName),
    /// A channel has its first subscriber.
    Occupied(&'a ChannelName),
    /// It has none any more.
    Vacated(&'a ChannelName),
}

/// Learns of changes, those of a channel in its order.
pub trait Observer: fmt::Debug + Send + Sync {
    /// Takes a change. Called under the lock of the channel, so it must not wait, nor call the hub.
    fn observe(&self, change: Change<'_>);
}
