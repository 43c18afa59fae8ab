//! The session layer: what one client may do, and what the hub is asked when it does it.

mod chat;

pub use chat::{Flow, OpenOptions, Pending, Protocol, Session};
