//! The state of a shard, and how it begins and ends.

use super::clock::Clock;
use super::connection::Phase;
use super::deadlines::Deadlines;
use super::rounds::Rounds;
use super::shard_channel::ShardChannels;
use super::slots::Slots;
use super::todo::Todo;
use crate::config::{HubLimits, TuningConfig};
use crate::hub::Sink;
use crate::hub::id::Slot;
use crate::hub::inbox::Inbox;
use crate::hub::lagging::Lagging;
use crate::hub::placement::Placement;
use crate::metrics::{ShardCounters, ShardCounts};
use crate::protocol::CloseReason;
use std::fmt;
use std::sync::Arc;

/// The owner of the write side of a subset of connections.
pub struct Shard<S: Sink> {
    pub(super) index: usize,
    pub(super) limits: HubLimits,
    /// Most commands of one pass: bounds what is coalesced before the first write of a pass.
    pub(super) commands_max: usize,
    pub(super) inbox: Arc<Inbox<S>>,
    pub(super) placement: Arc<Placement>,
    pub(super) lagging: Arc<Lagging>,
    pub(super) metrics: Arc<ShardCounters>,
    /// Published to `metrics` at the end of each pass.
    pub(super) counts: ShardCounts,

    pub(super) clock: Clock,
    pub(super) connections: Slots<S>,
    pub(super) channels: ShardChannels,

    pub(super) rounds: Rounds,
    pub(super) todo: Todo,
    pub(super) deadlines: Deadlines,
    pub(super) closing: CloseProgress,
}

/// Which connections a command to close many of them has reached.
#[derive(Debug, Default)]
pub(super) struct CloseProgress {
    /// Every connection is being closed, and so is each that still connects.
    pub(super) all: Option<CloseReason>,
    /// Index of the slot at which the next command to close some goes on.
    pub(super) next: usize,
}

/// What all shards of a hub are made of.
#[derive(Debug)]
pub(in crate::hub) struct ShardParts<'a, S> {
    pub(in crate::hub) index: usize,
    /// Connections that the shard has to expect.
    pub(in crate::hub) connections_expected: usize,
    /// When the hub started, in microseconds since 1970.
    pub(in crate::hub) started_at: u64,
    pub(in crate::hub) limits: &'a HubLimits,
    pub(in crate::hub) tuning: &'a TuningConfig,
    pub(in crate::hub) inbox: Arc<Inbox<S>>,
    pub(in crate::hub) placement: Arc<Placement>,
    /// Where subscriptions go that end because of their lag.
    pub(in crate::hub) lagging: Arc<Lagging>,
    pub(in crate::hub) metrics: Arc<ShardCounters>,
}

impl<S: Sink> Shard<S> {
    pub(in crate::hub) fn new(parts: ShardParts<'_, S>) -> Self {
        let ShardParts { index, connections_expected, started_at, limits, tuning, inbox, placement, lagging, metrics } =
            parts;
        Self {
            index,
            limits: limits.clone(),
            commands_max: tuning.pass_commands_max,
            inbox,
            placement,
            lagging,
            // A shard that replaces one that failed continues its counts.
            counts: metrics.read(),
            metrics,
            clock: Clock::default(),
            connections: Slots::new(connections_expected),
            channels: ShardChannels::default(),
            rounds: Rounds::new(tuning.coalesce_delay, started_at),
            todo: Todo::default(),
            deadlines: Deadlines::new(limits),
            closing: CloseProgress::default(),
        }
    }

    /// Returns the index of the shard in its hub.
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
        self.connections.taken()
    }

    /// Returns the number of channels with subscribers here.
    pub fn channels(&self) -> usize {
        self.channels.len()
    }
}

/// A shard that is dropped too early, because a bug made it panic, ends its connections instead of leaking them.
impl<S: Sink> Drop for Shard<S> {
    fn drop(&mut self) {
        let slots: Vec<Slot> = self.connections.all().collect();
        for slot in slots {
            let Some(connection) = self.connections.remove(slot) else { continue };
            if connection.phase <= Phase::Flushing {
                self.counts.closes[CloseReason::Internal.index()] += 1;
            }
            let id = connection.id(self.index, slot);
            connection.orphan();
            self.placement.give_back(id);
        }
        // The shard that replaces this one continues from here.
        (self.counts.connections, self.counts.shard_channels, self.counts.parked) = (0, 0, 0);
        self.metrics.publish(&self.counts);
    }
}

impl<S: Sink> fmt::Debug for Shard<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connections = self.connections.taken();
        f.debug_struct("Shard").field("index", &self.index).field("connections", &connections).finish_non_exhaustive()
    }
}
