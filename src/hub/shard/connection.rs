//! A connection as its shard sees it: where its bytes go, its subscriptions, and how far its end has come.

use super::control_queue::ControlQueue;
use super::shard_channel::ChannelIndex;
use crate::hub::id::Slot;
use crate::hub::{ConnectionId, MessageShape, Sink};
use crate::protocol::CloseReason;
use crate::protocol::encoding::Control;
use smallvec::SmallVec;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

/// How far the end of a connection has come.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Phase {
    /// Gets publications.
    Open,
    /// Gets what was published so far, then a close frame.
    Flushing,
    /// Gets its control, which ends in a close frame.
    Closing,
    /// Has the close frame; we wait for the peer to end.
    Finished,
    /// Takes no bytes any more.
    Dead,
}

impl Phase {
    /// Returns the word that operators read.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Flushing => "draining",
            Self::Closing => "closing",
            Self::Finished => "closed",
            Self::Dead => "gone",
        }
    }
}

/// State of the peer since the last ping.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Heartbeat {
    /// It is not pinged yet, because its protocol has it speak first.
    NotBegun,
    /// It answered, or was not pinged yet.
    Alive,
    /// It is pinged with the next flush.
    Due,
    /// It was pinged.
    Asked,
    /// It could not be pinged: its socket is full. The limit on the outbox says how long that may last, not the pong's.
    Unreachable,
}

/// Where a subscription of the connection is found: the channel, and the index among its subscriptions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct SubscriptionRef {
    pub(super) channel: ChannelIndex,
    index: u32,
}

impl SubscriptionRef {
    #[expect(clippy::cast_possible_truncation, reason = "a channel has at most SLOTS_MAX subscriptions on a shard")]
    pub(super) const fn new(channel: ChannelIndex, index: usize) -> Self {
        Self { channel, index: index as u32 }
    }

    pub(super) const fn index(self) -> usize {
        self.index as usize
    }
}

/// The write side of one connection.
///
/// One cache line: an idle connection holds nothing beyond it.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, of one byte each")]
#[derive(Debug)]
pub(super) struct Connection<S> {
    pub(super) sink: S,
    /// Only a parked, closing or waiting connection has one.
    pub(super) control: Option<Box<ControlQueue>>,
    pub(super) subscriptions: SmallVec<[SubscriptionRef; 2]>,
    pub(super) generation: u32,
    /// In which pass a channel was found to owe it something, see [`Connection::is_owed_twice`].
    owed: u32,
    /// Seconds of the shard's clock at which it connected.
    pub(super) born: u32,
    pub(super) phase: Phase,
    /// The sink is full and will call back.
    pub(super) is_parked: bool,
    /// It is parked until it is released, whatever its socket takes.
    pub(super) is_held: bool,
    pub(super) heartbeat: Heartbeat,
    /// On the list of those whose deadlines the tick checks.
    pub(super) is_watched: bool,
    /// The reader has ended: the slot becomes free after the next flush.
    pub(super) is_abandoned: bool,
    /// A connection that gets its messages split keeps its control queue, which keeps it out of the fan-outs.
    pub(super) shape: MessageShape,
}

impl<S> Connection<S> {
    pub(super) fn new(id: ConnectionId, sink: S, shape: MessageShape, born: u32) -> Self {
        Self {
            sink,
            control: None,
            subscriptions: SmallVec::new(),
            generation: id.generation(),
            owed: 0,
            born,
            phase: Phase::Open,
            is_parked: false,
            is_held: false,
            heartbeat: if shape.encoding.waits_for_client() { Heartbeat::NotBegun } else { Heartbeat::Alive },
            is_watched: false,
            is_abandoned: false,
            shape,
        }
    }

    /// Returns whether a publication may go straight to the sink.
    pub(super) fn takes_publications(&self) -> bool {
        !self.is_parked && self.control.is_none() && self.phase == Phase::Open
    }

    /// Returns whether it may get more channels.
    pub(super) fn takes_subscriptions(&self) -> bool {
        self.phase == Phase::Open && !self.is_abandoned
    }

    /// Notes that one more channel owes it something in the pass of this even `mark`, and returns whether that is the
    /// second one. A stale note that looks like this pass's only makes it be served alone.
    pub(super) fn is_owed_twice(&mut self, mark: u32) -> bool {
        let is_second = self.owed == mark;
        if self.owed != mark + 1 {
            self.owed = mark + u32::from(is_second);
        }
        is_second
    }

    /// Returns whether it has lived longer than `age_max`, give or take what its name decides: connections that came
    /// together do not leave together.
    pub(super) fn is_aged(&self, slot: Slot, now: Duration, age_max: Duration) -> bool {
        let age = now.saturating_sub(Duration::from_secs(self.born.into()));
        // A multiplicative hash: neighbours differ widely. In per mille, from -100 to +50; a look is up to 50 late.
        let spread = (slot.as_u32() ^ self.generation.rotate_left(16)).wrapping_mul(0x9e37_79b9) >> 16;
        age >= age_max / 1000 * (900 + spread % 151)
    }

    /// Returns the id of the connection at a slot of a shard.
    pub(super) fn id(&self, shard: usize, slot: Slot) -> ConnectionId {
        ConnectionId::new(shard, slot, self.generation)
    }

    /// Returns whether it is open, gets its messages split, and takes some.
    pub(super) fn takes_split(&self) -> bool {
        self.shape.is_split && !self.is_parked && self.phase == Phase::Open
    }

    pub(super) fn control_mut(&mut self) -> &mut ControlQueue {
        self.control.get_or_insert_default()
    }
}

impl<S: Sink> Connection<S> {
    /// Asks a full sink whether it takes bytes again; when it does not, it calls back.
    pub(super) fn ask_sink(&mut self) -> Poll<()> {
        // A sink that was never full has no waker, and nothing to wait for.
        let Some(waker) = self.control.as_ref().and_then(|control| control.waker.as_ref()) else {
            return Poll::Ready(());
        };
        waker.arm();
        self.sink.poll_writable(&Waker::from(Arc::clone(waker)))
    }

    /// Ends a connection whose shard is gone: the peer is told, if its socket takes it, and the reader is woken.
    pub(super) fn orphan(mut self) {
        let is_idle = self.control.as_ref().is_none_or(|control| self.takes_split() && control.is_empty());
        let is_at_frame_boundary = is_idle && self.phase == Phase::Open;
        if is_at_frame_boundary {
            // Best effort: what the socket does not take now is lost with the shard.
            let reason = CloseReason::Internal;
            let _ = self.sink.send(&self.shape.encoding.control(Control::Close(reason, reason.code())));
            self.sink.finish();
        } else {
            self.sink.abort();
        }
    }
}
