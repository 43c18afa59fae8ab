//! A reserve descriptor: with it a process that has no other descriptor left can still refuse connections.
//!
//! A connection that cannot be accepted stays in the kernel's queue. There its client waits in vain, and it keeps the
//! listener readable. So the reserve is released, the connection is accepted, refused and closed, and the reserve is
//! acquired again.

use std::fs::File;

/// The descriptor; `None` while it is released, or when it could not be acquired.
#[derive(Debug)]
pub(super) struct DescriptorReserve(Option<File>);

impl DescriptorReserve {
    pub(super) fn new() -> Self {
        let mut reserve = Self(None);
        reserve.acquire();
        reserve
    }

    /// Releases the descriptor. Returns whether there was one.
    pub(super) fn release(&mut self) -> bool {
        self.0.take().is_some()
    }

    /// Acquires a descriptor if one is free. Without one, clients are not refused but wait.
    pub(super) fn acquire(&mut self) {
        self.0 = File::open("/dev/null").ok();
    }
}
