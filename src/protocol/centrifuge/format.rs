//! A format: what messages are written in.

/// What the messages of a connection are written in.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Format {
    /// Text messages of JSON objects, one per line.
    Json,
    /// Binary messages of Protobuf messages, each after its length.
    Protobuf,
}

/// A frame that is not made of commands.
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
#[error("not a command of the Centrifuge protocol")]
pub struct Malformed;
