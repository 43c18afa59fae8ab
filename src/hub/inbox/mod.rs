//! The inbox of a shard: the bounded queue, its credits, and what wakes the shard.

mod credit;
mod queue;
pub mod sleep_flag;
mod waker;

pub use credit::Credit;
pub use queue::{CREDIT_BYTES, CREDITS, Inbox};
pub(super) use waker::SlotWaker;
