//! An inspection: a look at the connections of a shard that stand out.
//!
//! A shard looks at one slice of its slots per command, so that no look makes a long pass; who wants to know asks on.

use super::channel::Channel;
use super::{ConnectionId, Wire};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Slots of one slice: read in order, a few dozen microseconds.
pub(super) const SLICE: usize = 8192;

/// Channels that are named of a connection that is in many.
pub(super) const NAMED_MAX: usize = 4;

/// What makes a connection stand out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rank {
    /// Bytes that wait for it.
    Lag,
    /// How long its socket has not taken a byte.
    Stalled,
    /// How long it has been here.
    Age,
}

/// One slice to look at.
#[derive(Debug)]
pub struct Inspection {
    /// The first slot.
    pub from: usize,
    /// Who comes first.
    pub rank: Rank,
    /// How many are told of; each costs a look at its socket.
    pub limit: usize,
    /// Where it is told.
    pub reply: oneshot::Sender<Seen>,
}

/// What was seen in one slice.
#[derive(Debug, Default)]
pub struct Seen {
    /// The first by rank.
    pub connections: Vec<View>,
    /// Where the next slice begins; `None` when this was the last.
    pub next: Option<usize>,
}

/// One connection, as an operator sees it.
#[derive(Debug)]
pub struct View {
    /// What it is ranked by: more comes first.
    pub weight: u64,
    /// Its name in here.
    pub id: ConnectionId,
    /// How long it has been here, to the second.
    pub age: Duration,
    /// Its channels, the first few of them.
    pub channels: Vec<Arc<Channel>>,
    /// How many channels it is in.
    pub channel_count: usize,
    /// Bytes of publications that it has not got, frame heads not counted.
    pub lag_bytes: u64,
    /// How many publications these are.
    pub lag_publications: u64,
    /// Bytes besides: the rest of a frame, pings, notices, a close frame.
    pub control_bytes: u64,
    /// How long its socket has not taken a byte, if it is full.
    pub stalled: Option<Duration>,
    /// How far its end has come.
    pub state: &'static str,
    /// The way to it.
    pub wire: Option<Wire>,
}
