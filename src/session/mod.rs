//! The session layer: what one client may do, and what the hub is asked when it does it.

mod chat;
pub mod permission;

pub use chat::{Flow, OpenOptions, Pending, Protocol, Session};
