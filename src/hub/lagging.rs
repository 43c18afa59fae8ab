//! Lagging subscriptions: those that shards have ended because their clients do not keep up, until the sessions know.
//! Those whose channel has lost publications end in the same way.
//!
//! The shard drops at once what such a subscription still had to get, which bounds memory. Its channel counts it until
//! its session takes it from here, ends it there too, and tells the client, which then makes it again.

use super::{Channel, ConnectionId};
use parking_lot::Mutex;
use std::sync::Arc;

/// What becomes of a subscription that lags by more than a connection may, see `shard/lag.rs`; the worst comes last.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum OnLag {
    /// It ends, and its client makes it again from where it was: it gets what it missed, or learns that it does not.
    Resubscribe,
    /// Its connection ends, because its client cannot make it again by itself.
    Reconnect,
    /// What the policy for slow consumers says.
    #[default]
    Policy,
}

/// Subscriptions that have ended on their shards. At most one for each subscription that a channel counts.
#[derive(Debug, Default)]
pub(super) struct Lagging(Mutex<Vec<(ConnectionId, Arc<Channel>)>>);

impl Lagging {
    #[cold]
    pub(super) fn note(&self, id: ConnectionId, channel: Arc<Channel>) {
        self.0.lock().push((id, channel));
    }

    pub(super) fn take(&self) -> Vec<(ConnectionId, Arc<Channel>)> {
        std::mem::take(&mut *self.0.lock())
    }
}
