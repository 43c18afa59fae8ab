//! Encodings: the layout of publications in a log, and how a range of them becomes wire bytes.

use super::websocket::frame::{Head, Opcode};

/// How a channel's publications are encoded.
///
/// Publications are back to back in a log, so that any range of whole ones leaves in one write without a copy.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Encoding {
    /// Lines of text, each ended by `\n`: a range is the body of ONE text message without its last `\n`. The chat
    /// protocol; the chat example of gorilla/websocket joins waiting messages in the same way.
    Lines,
    /// Whole frames: a range is wire bytes already, and messages stay separate. The echo protocol.
    Frames,
}

impl Encoding {
    /// Returns the frame head for a range of `bytes` of a log, and the bytes of the range that follow it.
    pub fn frame(self, bytes: usize) -> (Head, usize) {
        match self {
            Self::Lines => (Head::new(Opcode::Text, bytes - 1), bytes - 1),
            Self::Frames => (Head::EMPTY, bytes),
        }
    }
}
