//! The fan-outs of a pass: which channels are due, the round under way, and what is batched over channels.

use super::coalesce::Coalescing;
use super::connection::SubscriptionRef;
use super::latency::Latency;
use super::shard_channel::ChannelIndex;
use crate::hub::id::Slot;
use std::time::Duration;

/// Fan-outs that are due or under way.
#[derive(Debug)]
pub(super) struct Rounds {
    /// Channels with publications that were not fanned out yet.
    pub(super) touched: Vec<ChannelIndex>,
    pub(super) coalescing: Coalescing,
    pub(super) latency: Latency,
    pub(super) current: Option<Round>,
    /// The frame of the current round, built once for all subscribers at its start.
    pub(super) frame: Vec<u8>,
    pub(super) batch: Batch,
}

/// One fan-out of one channel, under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    pub(super) channel: ChannelIndex,
    /// Cursor of the subscribers that the frame is for.
    pub(super) from: u64,
    /// Cursor of those that have the frame.
    pub(super) to: u64,
    /// A parked subscriber below it lags beyond the bound.
    pub(super) floor: u64,
    pub(super) publications: u64,
    /// Subscribers served so far, counted from `first` and wrapping around.
    pub(super) served: usize,
    pub(super) first: usize,
}

/// The connections that a pass owes publications of several channels; each is served by one write.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// A connection has, or had, a second subscription.
    pub(super) is_possible: bool,
    /// Where to look next: an index into the touched channels, and one into the subscriptions of that channel.
    pub(super) next: Option<Position>,
    /// Tells passes apart, see `Connection::is_owed_twice`.
    pub(super) mark: u32,
    /// Connections to be served.
    pub(super) slots: Vec<Slot>,
    /// The channels whose frames are in `frame`.
    pub(super) parts: Vec<Part>,
    /// The frames of the connection that is being served, one after the other.
    pub(super) frame: Vec<u8>,
}

/// A place in the walk over the subscriptions of all touched channels.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Position {
    pub(super) touched: usize,
    pub(super) subscription: usize,
}

/// The frame of one channel in a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) subscription: SubscriptionRef,
    pub(super) publications: usize,
    /// Where it ends in the batch, in bytes.
    pub(super) end: usize,
}

impl Rounds {
    pub(super) fn new(coalesce_delay: Duration, started_at: u64) -> Self {
        Self {
            touched: Vec::new(),
            coalescing: Coalescing::new(coalesce_delay),
            latency: Latency::new(started_at),
            current: None,
            frame: Vec::new(),
            batch: Batch::default(),
        }
    }

    /// Returns whether a fan-out is under way, or due now.
    pub(super) fn has_writes(&self) -> bool {
        self.current.is_some() || (!self.touched.is_empty() && !self.coalescing.is_open())
    }

    /// Returns whether this pass can owe a connection publications of several channels.
    pub(super) fn may_batch(&self) -> bool {
        self.batch.is_possible && self.touched.len() > 1 && !self.coalescing.is_open()
    }
}

impl Batch {
    pub(super) fn begin(&mut self) {
        self.mark = self.mark.wrapping_add(2);
        self.next = Some(Position::default());
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.next.is_some() || !self.slots.is_empty()
    }
}
