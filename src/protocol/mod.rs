//! The protocol layer: bytes to meaning and back, without I/O, clock or threads.

// What a client sends, and what frames we send.
pub mod websocket;

// What clients of the Centrifuge SDKs send and get.
pub mod centrifuge;

// What a message and its channel are.
pub mod backlog;
pub mod channel_name;
pub mod chat;
pub mod encoding;
pub mod fossil;
pub mod json;
pub mod position;
pub mod presence;
pub mod publication;

// How it ends.
pub mod close;
pub mod close_code;
pub mod error;

pub use channel_name::{ChannelName, NameError};
pub use close::CloseReason;
pub use close_code::CloseCode;
pub use encoding::Encoding;
pub use error::ProtocolError;
pub use position::{Epoch, Position};
pub use presence::{PresenceEvent, PresenceEventKind, Profile};
pub use publication::{Content, Details, Payload, Publication};
pub use websocket::decoder::FrameDecoder;
pub use websocket::event::{Event, MessageKind};
pub use websocket::limits::DecoderLimits;
