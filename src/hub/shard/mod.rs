//! A shard: the only owner of the write side of a fixed subset of connections.
//!
//! Other threads reach a shard through its [`Inbox`](super::inbox::Inbox) and nothing else, so nothing in here is
//! locked.
//!
//! # Life of a publication
//!
//! `Channel` numbers it and the hub puts it into the inbox of every shard with subscribers; a [pass](Shard::begin_pass)
//! appends it to this shard's log of the channel; `fan_out` offers each subscriber the range from its cursor.
//!
//! # Slow connections
//!
//! A connection that lags by more than `outbox_bytes_max` and does not drain (see `lag`), or whose socket took nothing
//! for `outbox_stall_max`, is closed with 4008, or skips ahead and is told how much it missed. A slow connection holds
//! no memory beyond its cursor and the rest of one frame.
//!
//! # Invariants
//!
//! - A connection belongs to one shard from connect to disconnect.
//! - A cursor always stands on a message boundary; a half-written frame lies in the control queue.
//! - Subscriptions change between rounds of a fan-out, never within one.

mod state;

mod connection;
#[doc(hidden)]
pub mod control_queue;
#[doc(hidden)]
pub mod log;
#[doc(hidden)]
pub mod outbox;
mod shard_channel;
mod slots;

mod batching;
mod coalesce;
mod fan_out;
mod flush;
mod lag;
mod latency;
mod rounds;
mod todo;
mod unserved;

mod apply;
mod pass;

mod clock;
mod deadlines;
mod exit;
mod gap;
mod inspect;
mod shed_memory;
mod tick;
mod wheel;

pub use state::Shard;
pub(super) use state::ShardParts;
