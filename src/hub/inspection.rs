//! Inspections: the connections of a shard that come first by lag, stall or age.
//!
//! A shard looks at one slice of its slots per command, so that an inspection makes no long pass; the caller asks again
//! for the next slice.

use super::channel::Channel;
use super::{ConnectionId, Wire};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Slots of one slice: read in order, a few dozen microseconds.
pub(super) const SLICE: usize = 8192;

/// Most channels named per connection.
pub(super) const NAMED_MAX: usize = 4;

/// The order in which connections are listed; the largest value comes first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rank {
    /// Bytes that wait for the connection.
    Lag,
    /// Time since its socket took a byte, if it is full.
    Stalled,
    /// Time since it connected.
    Age,
}

/// One slice to look at.
#[derive(Debug)]
pub struct Inspection {
    /// The first slot, from 0.
    pub from: usize,
    /// The order of the list.
    pub rank: Rank,
    /// Most connections to return; each costs a look at its socket.
    pub limit: usize,
    /// Receives the result.
    pub reply: oneshot::Sender<Seen>,
}

/// The result of an [`Inspection`].
#[derive(Debug, Default)]
pub struct Seen {
    /// The first connections by rank.
    pub connections: Vec<View>,
    /// Where the next slice begins; `None` when this was the last.
    pub next: Option<usize>,
}

/// One connection, as an operator sees it.
#[derive(Debug)]
pub struct View {
    /// Value that it is ranked by.
    pub weight: u64,
    /// Its id, which names its shard and slot.
    pub id: ConnectionId,
    /// Time since it connected, in whole seconds.
    pub age: Duration,
    /// The first few of its channels.
    pub channels: Vec<Arc<Channel>>,
    /// Number of all its channels.
    pub channel_count: usize,
    /// Bytes of publications that it has not got, without frame heads.
    pub lag_bytes: u64,
    /// Number of these publications.
    pub lag_publications: u64,
    /// Bytes of its control queue: the rest of a frame, pings, notices, a close frame.
    pub control_bytes: u64,
    /// Time since its socket took a byte, if it is full.
    pub stalled: Option<Duration>,
    /// `open`, or how far its end has come.
    pub state: &'static str,
    /// What its sink reports of the way to the peer.
    pub wire: Option<Wire>,
}
