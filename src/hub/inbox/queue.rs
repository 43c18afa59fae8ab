//! The inbox: the bounded queue into one shard, and the only way to reach it from another thread.
//!
//! # When it is full
//!
//! A push costs credits: one for every [`CREDIT_BYTES`] of the command, at least one. There are as many credits as
//! places in the queue, so a push that is paid for always finds room. A reader without credits waits, and its socket is
//! not read meanwhile: a flood stops at its source by TCP back-pressure, and nothing is lost.

use super::waker::ShardWaker;
use crate::hub::Command;
use crossbeam_channel::{Receiver, Sender};
use std::fmt;
use std::sync::Arc;
use tokio::sync::futures::Notified;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Bytes of a command that one credit pays for: a cache line, so that a short message costs one.
pub const CREDIT_BYTES: usize = 64;

/// Credits of an inbox, and places in it: 512 KiB of messages wait at most, and a pass takes 256 by default.
pub const CREDITS: usize = 8192;

/// Commands that may wait for the shard's next tick: few enough for the pass of that tick to take them all.
const LAZY_MAX: usize = 64;

/// The bounded queue into one shard.
pub struct Inbox<S> {
    shard: usize,
    commands: Sender<Command<S>>,
    queue: Receiver<Command<S>>,
    credits: Semaphore,
    waker: Arc<ShardWaker>,
}

impl<S> Inbox<S> {
    pub(in crate::hub) fn new(shard: usize) -> Self {
        let (commands, queue) = crossbeam_channel::bounded(CREDITS);
        Self { shard, commands, queue, credits: Semaphore::new(CREDITS), waker: Arc::default() }
    }

    /// Returns the credits that a command with `bytes` of body costs.
    #[expect(clippy::cast_possible_truncation, reason = "CREDITS is far below u32::MAX")]
    pub fn cost(bytes: usize) -> u32 {
        // A message larger than the whole inbox may pass alone.
        bytes.div_ceil(CREDIT_BYTES).clamp(1, CREDITS) as u32
    }

    /// Returns the index of the shard.
    pub fn shard(&self) -> usize {
        self.shard
    }

    /// Returns the semaphore that counts the credits.
    pub(super) fn semaphore(&self) -> &Semaphore {
        &self.credits
    }

    /// Takes credits, which the caller has to refund or spend, unless there are too few.
    pub(super) fn try_acquire(&self, amount: u32) -> bool {
        self.credits.try_acquire_many(amount).map(SemaphorePermit::forget).is_ok()
    }

    /// Queues a command that was paid for, see [`Credit::push_lazily`](super::Credit::push_lazily).
    pub(super) fn push_paid_lazily(&self, command: Command<S>) {
        self.enqueue(command);
        if self.depth() >= LAZY_MAX {
            self.waker.wake();
        }
    }

    /// Queues a command that was paid for.
    ///
    /// # Hot path
    ///
    /// Once per publication and shard: 31 ns for the queue, 2 ns for the flag. See `benches/inbox.rs`.
    pub(in crate::hub) fn push_paid(&self, command: Command<S>) {
        self.enqueue(command);
        self.waker.wake();
    }

    fn enqueue(&self, command: Command<S>) {
        let pushed = self.commands.try_send(command);
        debug_assert!(pushed.is_ok(), "there are as many places as credits");
    }

    /// Returns credits.
    pub(in crate::hub) fn refund(&self, credits: usize) {
        self.credits.add_permits(credits);
    }

    /// Returns the next command, unless there is none.
    pub(in crate::hub) fn pop(&self) -> Option<Command<S>> {
        self.queue.try_recv().ok()
    }

    /// Returns the number of commands that wait.
    pub fn depth(&self) -> usize {
        self.queue.len()
    }

    /// Returns the bytes that the credits in use pay for: of queued commands, and of those about to be queued.
    pub fn bytes(&self) -> usize {
        CREDITS.saturating_sub(self.credits.available_permits()) * CREDIT_BYTES
    }

    /// Returns the waker of the shard.
    pub(in crate::hub) fn waker(&self) -> &Arc<ShardWaker> {
        &self.waker
    }

    /// Prepares the shard to sleep: `None` when there is work, else what to wait for. Call
    /// [`Shard::end_sleep`](crate::hub::Shard::end_sleep) after.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any time; a wake-up that it missed is kept for the next one.
    pub fn prepare_sleep(&self) -> Option<Notified<'_>> {
        self.waker.prepare_sleep(|| self.queue.is_empty())
    }

    /// Ends a sleep, or the attempt. Returns whether the shard was woken meanwhile.
    pub(in crate::hub) fn end_sleep(&self) -> bool {
        self.waker.end_sleep()
    }
}

impl<S> fmt::Debug for Inbox<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("depth", &self.depth()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{ConnectionId, Slot};
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    /// A sleeping shard to which that many pongs were pushed.
    fn asleep_with(pongs: usize) -> Inbox<()> {
        let inbox = Inbox::new(0);
        drop(inbox.prepare_sleep());
        for _ in 0..pongs {
            inbox.try_credit(0).unwrap().push_lazily(Command::Pong { id: ConnectionId::new(0, Slot::new(0), 0) });
        }
        inbox
    }

    /// A pong that woke the shard would cost every idle connection a pass; many must not fill the inbox meanwhile.
    #[test]
    fn lazy_commands_wake_the_shard_when_many_wait_and_not_before() {
        assert!(!asleep_with(LAZY_MAX - 1).end_sleep());
        assert!(asleep_with(LAZY_MAX).end_sleep());
    }

    /// A caller that waits for credits must not wait for a tick as well.
    #[test]
    fn waiting_for_credits_wakes_the_shard_that_holds_them() {
        let inbox = asleep_with(1);
        let waiting = pin!(inbox.credit(usize::MAX)).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(waiting, Poll::Pending), "the pong holds a credit");
        assert!(inbox.end_sleep());
    }
}
