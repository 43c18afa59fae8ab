//! A shard: the only owner of the write side of a fixed subset of connections.
//!
//! Other threads reach a shard through its [`Inbox`] and nothing else, so nothing in here is locked.
//!
//! # Life of a publication
//!
//! `Channel` numbers it and the hub puts it in the inbox of every shard with subscribers; a [pass](Shard::begin_pass)
//! appends it to this shard's log of the channel; `fan_out` offers each subscriber the window from its cursor.
//!
//! # Slow connections
//!
//! A subscription that lags by more than `outbox_bytes_max`, or whose socket took nothing for `outbox_stall_max`, is
//! closed with 4008, or skips ahead and is told how much it missed. A slow connection holds no memory beyond its
//! cursor and the rest of one frame.
//!
//! # Invariants
//!
//! - A connection belongs to one shard from connect to disconnect.
//! - A cursor always stands on a message edge; a half-written frame lives in the lane.
//! - Subscriptions change between rounds of a fan-out, never within one.

pub mod shard_channel;

pub mod connection;
pub mod control_queue;
pub mod log;
pub mod outbox;
pub mod wheel;

mod apply;
mod pass;

mod coalesce;

mod batching;
pub mod fan_out;
mod flush;

mod exit;
mod tick;

mod clock;
mod inspect;
mod latency;
mod shed_memory;

use super::Sink;
use super::inbox::Inbox;
use super::placement::Placement;
use crate::config::{Limits, Tuning};
use crate::metrics::{ShardCounts, ShardMetrics};
use crate::protocol::CloseReason;
use batching::Batching;
use clock::Clock;
use coalesce::Coalescing;
use connection::{Connection, Phase};
use exit::Exit;
use latency::Latency;
use pass::Round;
use shard_channel::ShardChannels;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use wheel::Wheel;

/// Most slots that a shard reserves address space for, 64 MiB; beyond them its table grows by copies.
const RESERVED_MAX: usize = 1 << 20;

/// The owner of the write side of a subset of connections.
pub struct Shard<S: Sink> {
    index: usize,
    limits: Limits,
    /// Most commands of one pass: bounds what gathers before the first write of a pass.
    commands_max: usize,
    inbox: Arc<Inbox<S>>,
    placement: Arc<Placement>,
    metrics: Arc<ShardMetrics>,

    connections: Vec<Option<Connection<S>>>,
    audiences: ShardChannels,
    live: usize,
    /// Every connection is being closed, and so is whoever still comes.
    is_closing_all: Option<CloseReason>,
    /// The slot from which on the next ones are closed when only some are.
    closing_hand: usize,

    clock: Clock,
    wheel: Wheel,
    /// When to look whose life is over, if there is a limit to it.
    ages: Option<Wheel>,
    counts: ShardCounts,

    /// ShardChannels that a fan-out is due for, once nothing gathers any more.
    touched: Vec<u32>,
    coalescing: Coalescing,
    batching: Batching,
    latency: Latency,
    round: Option<Round>,
    /// The frame of the round, built once for all who stand at its start; before the rounds, what is joined.
    frame: Vec<u8>,
    /// Connections to be flushed by themselves: a lane, or a socket that takes bytes again.
    dirty: Vec<u32>,
    /// Parked connections that the runtime called for; empty between passes, kept for its memory.
    writable: Vec<u32>,
    /// Connections to be ended or skipped once no round is under way.
    leaving: Vec<(u32, Exit)>,
    /// Parked and closing connections, whose deadlines the tick looks at.
    watched: Vec<u32>,
    /// ShardChannels whose logs laggards keep.
    retained: Vec<u32>,
}

impl<S: Sink> Shard<S> {
    pub(super) fn new(
        (index, shards): (usize, usize),
        (limits, tuning): (&Limits, &Tuning),
        inbox: Arc<Inbox<S>>,
        placement: Arc<Placement>,
        metrics: Arc<ShardMetrics>,
    ) -> Self {
        // A shard that takes over from one that failed counts on.
        let counts = metrics.read();
        Self {
            index,
            limits: limits.clone(),
            commands_max: tuning.pass_commands_max,
            inbox,
            placement,
            metrics,
            // Reserved, not touched: the pages come as connections do, and a table that grows by copies leaves holes.
            connections: Vec::with_capacity(limits.connections_max.div_ceil(shards).min(RESERVED_MAX)),
            audiences: ShardChannels::default(),
            live: 0,
            is_closing_all: None,
            closing_hand: 0,
            clock: Clock::default(),
            wheel: Wheel::new(limits.ping_interval, limits.pong_timeout),
            ages: tick::ages(limits, Duration::ZERO),
            counts,
            touched: Vec::new(),
            coalescing: Coalescing::new(tuning.coalesce_delay),
            latency: Latency::default(),
            batching: Batching::default(),
            round: None,
            frame: Vec::new(),
            dirty: Vec::new(),
            writable: Vec::new(),
            leaving: Vec::new(),
            watched: Vec::new(),
            retained: Vec::new(),
        }
    }

    /// Returns which shard this is.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns the queue that commands come from.
    pub fn inbox(&self) -> &Arc<Inbox<S>> {
        &self.inbox
    }

    /// Ends a sleep, or the attempt; see [`Inbox::prepare_sleep`].
    pub fn end_sleep(&mut self) {
        self.counts.wakes += u64::from(self.inbox.end_sleep());
    }

    /// Returns the number of connections.
    pub fn connections(&self) -> usize {
        self.live
    }

    /// Returns the number of channels with subscribers here.
    pub fn audiences(&self) -> usize {
        self.audiences.len()
    }
}

/// A shard that is dropped before its time (a bug made it panic) ends its connections instead of leaking them.
impl<S: Sink> Drop for Shard<S> {
    fn drop(&mut self) {
        let slots = self.connections.iter_mut().enumerate();
        for (slot, connection) in slots.filter_map(|(slot, connection)| Some((slot, connection.take()?))) {
            if connection.phase <= Phase::Flushing {
                self.counts.closes[CloseReason::Internal.index()] += 1;
            }
            Self::orphan(&self.placement, self.index, slot, connection);
        }
        // The shard that takes over counts on from here.
        (self.counts.connections, self.counts.audiences, self.counts.parked) = (0, 0, 0);
        self.metrics.publish(&self.counts);
    }
}

impl<S: Sink> fmt::Debug for Shard<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard").field("index", &self.index).field("connections", &self.live).finish_non_exhaustive()
    }
}
