//! The session layer: what one client may do, and what the hub is asked when it does it.

pub mod plain;
pub mod rate;

pub use plain::{Face, Flow, Pending, Session};
