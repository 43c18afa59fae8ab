//! The budget of replies: how many bytes of them may wait for one client.

use crate::hub::ReplyPermit;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Most bytes of replies that wait for one client, or one reply that is longer: as many as one message may have.
pub const REPLY_BYTES_MAX: usize = 64 * 1024;

/// The bytes of replies that may still wait for one client, which is not read while there are too few. Cloning counts a
/// reference.
#[derive(Clone, Debug)]
pub struct ReplyBudget(Arc<Semaphore>);

impl ReplyBudget {
    /// Waits until that many bytes may wait for the client too. A reply longer than all of them waits until no other
    /// does.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up its place in the line.
    ///
    /// # Panics
    ///
    /// Never: the semaphore is never closed.
    pub async fn acquire(&self, bytes: usize) -> ReplyPermit {
        let permits = Arc::clone(&self.0).acquire_many_owned(cost(bytes)).await;
        ReplyPermit::new(permits.expect("the semaphore is never closed"))
    }

    /// Returns a permit, unless too many bytes wait.
    pub fn try_acquire(&self, bytes: usize) -> Option<ReplyPermit> {
        Arc::clone(&self.0).try_acquire_many_owned(cost(bytes)).ok().map(ReplyPermit::new)
    }

    /// Returns the bytes that may still wait.
    pub fn available(&self) -> usize {
        self.0.available_permits()
    }
}

impl Default for ReplyBudget {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(REPLY_BYTES_MAX)))
    }
}

fn cost(bytes: usize) -> u32 {
    u32::try_from(bytes.min(REPLY_BYTES_MAX)).unwrap_or(u32::MAX)
}
