//! A sleep flag: wakes a shard once per sleep, not once per message.
//!
//! A producer pushes, then [wakes](SleepFlag::wake); the consumer finds nothing, [prepares to
//! sleep](SleepFlag::prepare_sleep), looks once more, and only then waits. Whichever order the two meet in, the
//! producer sees the flag or the consumer sees the message: the fences on both sides forbid the outcome in which
//! neither does. `tests/loom` proves it, and finds a lost wake-up when a fence is taken out.

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, Ordering, fence};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// Whether the consumer of a queue waits to be woken.
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

    /// Tells the consumer that something was pushed. Returns whether the caller has to wake it.
    ///
    /// # Hot path
    ///
    /// Once per command: a fence and a load, 2 ns, while the consumer is awake. See `benches/inbox.rs`.
    #[must_use = "a consumer that is not woken sleeps on its messages"]
    pub fn wake(&self) -> bool {
        // SeqCst: orders the push before the load, against the fence in `prepare_sleep`.
        fence(Ordering::SeqCst);
        // Relaxed: the fence orders it. AcqRel: of many producers one wins, and it sees what the consumer did.
        self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel)
    }

    /// Announces that the consumer is about to wait. It must look at its queue once more before it does.
    pub fn prepare_sleep(&self) {
        // A swap and not a store: same cost, and loom can prove it (it keeps no order of stores against swaps).
        self.asleep.swap(true, Ordering::AcqRel);
        // SeqCst: orders the flag before the second look at the queue, against the fence in `wake`.
        fence(Ordering::SeqCst);
    }

    /// Announces that the consumer is at work again. Returns whether a producer woke it since it prepared to sleep.
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
