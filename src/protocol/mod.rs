//! The protocol layer: bytes to meaning and back, without I/O, clock or threads.

// What a client sends.
pub mod gate;

// What a message and its channel are.
pub mod name;
pub mod plain;

// What we send.
pub mod encoding;
pub mod frame;

// How it ends.
pub mod close;
pub mod error;

pub use close::{CloseCode, CloseReason};
pub use encoding::Encoding;
pub use error::ProtocolError;
pub use gate::{Event, Gate, GateLimits, MessageKind};
pub use name::{ChannelName, NameError};
