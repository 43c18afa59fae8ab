//! A credit: permission to put one command into one inbox.
//!
//! A credit belongs to the inbox that gave it, and is spent there or goes back when dropped: the type makes it
//! impossible to spend it on another shard, which would corrupt the bounds of both.
//!
//! This is the one file of the hub that awaits. Only callers above the hub, readers and operators, wait for credits.

use super::queue::Inbox;
use crate::hub::Command;
use std::fmt;
use std::mem::ManuallyDrop;

/// Permission to put one command into an inbox.
#[must_use = "a credit that is dropped goes back"]
pub struct Credit<'a, S> {
    inbox: &'a Inbox<S>,
    amount: u32,
}

impl<'a, S> Credit<'a, S> {
    pub(super) fn new(inbox: &'a Inbox<S>, amount: u32) -> Self {
        Self { inbox, amount }
    }

    /// Returns the index of the shard whose inbox it is for.
    pub fn shard(&self) -> usize {
        self.inbox.shard()
    }

    /// Returns whether it pays for a command with `bytes` of body.
    pub fn covers(&self, bytes: usize) -> bool {
        self.amount >= Inbox::<S>::cost(bytes)
    }

    /// Gives back what is more than a command with `bytes` of body costs.
    pub fn shrink(&mut self, bytes: usize) {
        let cost = Inbox::<S>::cost(bytes).min(self.amount);
        self.inbox.refund((self.amount - cost) as usize);
        self.amount = cost;
    }

    /// Queues a command for the shard and wakes it if it sleeps.
    pub fn push(self, command: Command<S>) {
        self.spend().push_paid(command);
    }

    /// Queues a command that nothing waits for, such as a pong: a shard that sleeps takes it with its next tick, or
    /// when many are queued. A shard with connections ticks.
    pub fn push_lazily(self, command: Command<S>) {
        self.spend().push_paid_lazily(command);
    }

    /// Gives up the duty to return the credit; the caller has it now.
    pub(in crate::hub) fn spend(self) -> &'a Inbox<S> {
        ManuallyDrop::new(self).inbox
    }
}

impl<S> Drop for Credit<'_, S> {
    fn drop(&mut self) {
        self.inbox.refund(self.amount as usize);
    }
}

impl<S> fmt::Debug for Credit<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credit").field("shard", &self.shard()).field("amount", &self.amount).finish()
    }
}

impl<S> Inbox<S> {
    /// Waits for a credit for a command with `bytes` of body.
    ///
    /// # Panics
    ///
    /// Never: an inbox is never closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up its place in the line and costs nothing.
    pub async fn credit(&self, bytes: usize) -> Credit<'_, S> {
        let amount = Self::cost(bytes);
        // Lazily queued commands may hold the credits that are missing.
        self.waker().wake();
        self.semaphore().acquire_many(amount).await.expect("an inbox is never closed").forget();
        Credit::new(self, amount)
    }

    /// Returns a credit for a command with `bytes` of body, unless there are too few.
    pub fn try_credit(&self, bytes: usize) -> Option<Credit<'_, S>> {
        let amount = Self::cost(bytes);
        self.try_acquire(amount).then(|| Credit::new(self, amount))
    }

    /// Waits for a credit and queues a command without a body.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the command; nothing was queued.
    pub async fn send(&self, command: Command<S>) {
        self.credit(0).await.push(command);
    }
}
