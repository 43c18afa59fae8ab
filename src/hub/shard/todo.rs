//! What a pass still has to do for single connections.

use crate::hub::id::Slot;
use crate::protocol::{CloseReason, Disconnection};

/// Connections that need more than the common frame of a round.
#[derive(Debug, Default)]
pub(super) struct Todo {
    /// Connections to be flushed: a control queue, or a socket that takes bytes again.
    pub(super) to_flush: Vec<Slot>,
    /// Connections to be ended or skipped ahead, once no round is under way.
    pub(super) exits: Vec<(Slot, Exit)>,
    /// Parked connections whose wakers were called. Empty between passes; kept for its memory.
    pub(super) writable: Vec<Slot>,
}

impl Todo {
    pub(super) fn is_empty(&self) -> bool {
        self.to_flush.is_empty() && self.exits.is_empty()
    }
}

/// How a connection ends, or why it may have to.
#[derive(Clone, Debug)]
pub(super) enum Exit {
    /// Close it now; its backlog is dropped.
    Close(CloseReason),
    /// The same, with a text of the application.
    Disconnect(Box<Disconnection>),
    /// Flush its backlog, then close it.
    Flush(CloseReason),
    /// Its sink takes nothing any more.
    Gone,
    /// It lags beyond the bound: the policy decides.
    Lagging,
}
