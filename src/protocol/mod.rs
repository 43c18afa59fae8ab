//! The protocol layer: bytes to meaning and back, without I/O, clock or threads.

pub mod close;
pub mod error;

pub use close::{CloseCode, CloseReason};
pub use error::ProtocolError;
