//! An inbox: the bounded queue into one shard, and the only way to reach it from another thread.
//!
//! # When it is full
//!
//! Whoever pushes holds credits first: one for every [`CREDIT_BYTES`] of the command, at least one. There are as many
//! credits as places in the queue, so a push that is paid for always finds room. Who gets no credit waits, and while a
//! reader waits its socket is not read: a flood stops at its source by TCP back-pressure, and nothing is lost.

use super::waker::ShardWaker;
use crate::hub::Command;
use crossbeam_channel::{Receiver, Sender};
use std::fmt;
use std::sync::Arc;
use tokio::sync::futures::Notified;
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

/// Bytes of a command that one credit pays for: a cache line, so that a short message costs one.
pub const CREDIT_BYTES: usize = 64;

/// Credits of an inbox, and places in it: 512 KiB of messages wait at most, and a pass takes 256 by default.
pub const CREDITS: usize = 8192;

/// Commands that may wait for the shard's next tick: few enough for the pass of that tick to take them all.
const LAZY_MAX: usize = 64;

/// The bounded queue into one shard.
pub struct Inbox<S> {
    commands: Sender<Command<S>>,
    queue: Receiver<Command<S>>,
    credits: Semaphore,
    bell: Arc<ShardWaker>,
}

impl<S> Inbox<S> {
    pub(in crate::hub) fn new() -> Self {
        let (commands, queue) = crossbeam_channel::bounded(CREDITS);
        Self { commands, queue, credits: Semaphore::new(CREDITS), bell: Arc::default() }
    }

    /// Returns the credits that a command with `bytes` of body costs.
    #[expect(clippy::cast_possible_truncation, reason = "CREDITS is far below u32::MAX")]
    pub fn cost(bytes: usize) -> u32 {
        // A message larger than the whole inbox may pass alone.
        bytes.div_ceil(CREDIT_BYTES).clamp(1, CREDITS) as u32
    }

    /// Returns a future for `cost` credits. Ask with `cost(0)` for a command without a body.
    ///
    /// # Errors
    ///
    /// None in practice: an inbox is never closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in line and costs nothing; dropping the permit returns the credits.
    pub fn take(&self, cost: u32) -> impl Future<Output = Result<SemaphorePermit<'_>, AcquireError>> {
        // Commands that nobody waits for may hold what is missing.
        self.bell.ring();
        self.credits.acquire_many(cost)
    }

    /// Returns `cost` credits, unless there are too few.
    pub fn try_take(&self, cost: u32) -> Option<SemaphorePermit<'_>> {
        self.credits.try_acquire_many(cost).ok()
    }

    /// Queues a command for the shard and wakes it if it sleeps.
    pub fn push(&self, credit: SemaphorePermit<'_>, command: Command<S>) {
        credit.forget();
        self.push_paid(command);
    }

    /// Queues a command that nobody waits for, such as a pong: a shard that sleeps takes it with its next tick, or when
    /// many wait. A shard that has the connection ticks.
    pub fn push_lazily(&self, credit: SemaphorePermit<'_>, command: Command<S>) {
        credit.forget();
        let pushed = self.commands.try_send(command);
        debug_assert!(pushed.is_ok(), "there are as many places as credits");
        if self.depth() >= LAZY_MAX {
            self.bell.ring();
        }
    }

    /// Queues a command whose credits the caller has taken and forgotten.
    ///
    /// # Hot path
    ///
    /// Once per publication and shard: 31 ns for the queue, 2 ns for the flag. See `benches/inbox.rs`.
    pub(in crate::hub) fn push_paid(&self, command: Command<S>) {
        let pushed = self.commands.try_send(command);
        debug_assert!(pushed.is_ok(), "there are as many places as credits");
        self.bell.ring();
    }

    /// Gives credits back that were taken and forgotten.
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

    /// Returns the bytes that those were charged for, and those that somebody is about to push.
    pub fn bytes(&self) -> usize {
        CREDITS.saturating_sub(self.credits.available_permits()) * CREDIT_BYTES
    }

    /// Returns what wakes the shard.
    pub(in crate::hub) fn bell(&self) -> &Arc<ShardWaker> {
        &self.bell
    }

    /// Prepares the shard to sleep: `None` when there is work, else what to wait for. Call
    /// [`Shard::end_sleep`](super::Shard::end_sleep) after.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any time; a wake-up that it missed is kept for the next one.
    pub fn prepare_sleep(&self) -> Option<Notified<'_>> {
        self.bell.prepare_sleep(|| self.queue.is_empty())
    }

    /// Ends a sleep, or the attempt. Returns whether the bell rang meanwhile.
    pub(in crate::hub) fn end_sleep(&self) -> bool {
        self.bell.end_sleep()
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
    use crate::hub::ConnectionId;

    /// A sleeping shard to which that many pongs were pushed.
    fn asleep_with(pongs: usize) -> Inbox<()> {
        let inbox = Inbox::new();
        drop(inbox.prepare_sleep());
        for _ in 0..pongs {
            inbox.push_lazily(inbox.try_take(1).unwrap(), Command::Pong { id: ConnectionId::new(0, 0, 0) });
        }
        inbox
    }

    /// A pong that woke the shard would cost every idle connection a pass; many must not fill the inbox meanwhile.
    #[test]
    fn lazy_commands_wake_the_shard_when_many_wait_and_not_before() {
        assert!(!asleep_with(LAZY_MAX - 1).end_sleep());
        assert!(asleep_with(LAZY_MAX).end_sleep());
    }

    /// Who waits for credits must not wait for a tick as well.
    #[test]
    fn waiting_for_credits_wakes_the_shard_that_holds_them() {
        let inbox = asleep_with(1);
        drop(inbox.take(Inbox::<()>::cost(usize::MAX)));
        assert!(inbox.end_sleep());
    }
}
