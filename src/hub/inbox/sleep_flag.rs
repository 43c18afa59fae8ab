//! A sleep flag: wakes a shard once per sleep, not once per message.
//!
//! A producer pushes, then calls [`wake`](SleepFlag::wake). The consumer finds nothing, calls
//! [`prepare_sleep`](SleepFlag::prepare_sleep), looks once more, and only then waits. In whatever order that happens,
//! the producer sees the flag or the consumer sees the message: the fences on both sides forbid the outcome in which
//! neither does. `tests/loom` proves it, and finds a lost wake-up when a fence is removed.

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, Ordering, fence};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// Whether the consumer of a queue sleeps.
#[derive(Debug)]
pub struct SleepFlag {
    asleep: AtomicBool,
}

impl SleepFlag {
    /// Returns a flag whose consumer is awake.
    // Not const: loom's atomics are not.
    pub fn new() -> Self {
        Self { asleep: AtomicBool::new(false) }
    }

    /// Marks the consumer as awake, after a push. Returns whether it slept, so that the caller has to notify it.
    ///
    /// # Hot path
    ///
    /// Once per command: a fence and a load, 2 ns, while the consumer is awake. See `benches/inbox.rs`.
    #[must_use = "a consumer that is not woken sleeps on its messages"]
    pub fn wake(&self) -> bool {
        // SeqCst: orders the push before the load, against the fence in `prepare_sleep`.
        fence(Ordering::SeqCst);
        // Relaxed: the fence orders it. AcqRel: one of many producers wins, and it sees what the consumer did.
        self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel)
    }

    /// Announces that the consumer is about to wait. It must look at its queue once more before it does.
    pub fn prepare_sleep(&self) {
        // A swap and not a store: same cost, and loom can prove it (it does not order stores against swaps).
        self.asleep.swap(true, Ordering::AcqRel);
        // SeqCst: orders the flag before the second look at the queue, against the fence in `wake`.
        fence(Ordering::SeqCst);
    }

    /// Announces that the consumer is awake. Returns whether a producer woke it since `prepare_sleep`.
    pub fn end_sleep(&self) -> bool {
        // AcqRel: as in `prepare_sleep`.
        !self.asleep.swap(false, Ordering::AcqRel)
    }
}

impl Default for SleepFlag {
    fn default() -> Self {
        Self::new()
    }
}
