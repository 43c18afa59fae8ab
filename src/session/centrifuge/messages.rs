//! Messages under way to one client: replies and pushes of one format, joined to frames.

use crate::protocol::centrifuge::{self, Format, Push, Reply};
use crate::protocol::websocket::frame::{self, Opcode};
use bytes::Bytes;

/// Bytes after which a frame leaves although more is to come: less than a client takes by default.
const FRAME_BYTES: usize = 16 * 1024;

/// Replies and pushes that are not sent yet.
#[derive(Debug)]
pub(super) struct Messages {
    format: Format,
    parts: Vec<u8>,
}

impl Messages {
    pub(super) fn new(format: Format) -> Self {
        Self { format, parts: Vec::new() }
    }

    pub(super) fn reply(&mut self, reply: &Reply) {
        centrifuge::reply(self.format, reply, &mut self.parts);
    }

    pub(super) fn push(&mut self, push: &Push) {
        centrifuge::push(self.format, push, &mut self.parts);
    }

    /// Returns whether it is time to send them.
    pub(super) fn are_many(&self) -> bool {
        self.parts.len() >= FRAME_BYTES
    }

    /// Takes them as one frame; `None` if there are none.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        let parts = std::mem::take(&mut self.parts);
        let frame = match self.format {
            // Lines are joined by newlines, and the last one has none.
            Format::Json => frame::encode(Opcode::Text, parts.strip_suffix(b"\n").unwrap_or(&parts)),
            Format::Protobuf => frame::encode(Opcode::Binary, &parts),
        };
        (!parts.is_empty()).then_some(frame)
    }
}

/// Returns a frame with one reply.
pub(super) fn reply_frame(format: Format, reply: &Reply) -> Bytes {
    let mut messages = Messages::new(format);
    messages.reply(reply);
    messages.take().unwrap_or_default()
}

/// Returns a frame with one push.
pub(super) fn push_frame(format: Format, push: &Push) -> Bytes {
    let mut messages = Messages::new(format);
    messages.push(push);
    messages.take().unwrap_or_default()
}
