//! Replies: what a client asked for, as frames that its shard sends before what is published later.
//!
//! They wait in the control queue of a connection whose socket is full. What bounds them is the [`ReplyPermit`] that
//! travels with each: it pays for its bytes until these have left, and while there are none its client is not read.

use tokio::sync::OwnedSemaphorePermit;

/// Pays for replies of one connection until they have left.
#[derive(Debug)]
pub struct ReplyPermit(OwnedSemaphorePermit);

impl ReplyPermit {
    /// Makes it of permits of the connection's own semaphore, one per byte.
    pub fn new(permits: OwnedSemaphorePermit) -> Self {
        Self(permits)
    }

    /// Adds another one of the same connection.
    pub(super) fn merge(&mut self, other: Self) {
        self.0.merge(other.0);
    }
}
