//! The budget: how many bytes all histories together hold, and may hold.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of all histories of a hub.
#[derive(Debug)]
pub(in crate::hub) struct Budget {
    used: AtomicUsize,
    max: AtomicUsize,
}

// Relaxed everywhere: the numbers order nothing else.
impl Budget {
    pub(in crate::hub) fn new(max: usize) -> Self {
        Self { used: AtomicUsize::new(0), max: max.into() }
    }

    pub(in crate::hub) fn max(&self) -> usize {
        self.max.load(Ordering::Relaxed)
    }

    pub(in crate::hub) fn set_max(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
    }

    pub(in crate::hub) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Counts a history that had `before` bytes and has `after`. Returns whether all hold too much now.
    ///
    /// # Hot path
    ///
    /// Once per publication in a channel with history: one atomic addition.
    pub(in crate::hub) fn count(&self, before: usize, after: usize) -> bool {
        // Wrapping, so that less is more, too.
        let change = after.wrapping_sub(before);
        let used = self.used.fetch_add(change, Ordering::Relaxed).wrapping_add(change);
        used > self.max()
    }
}
