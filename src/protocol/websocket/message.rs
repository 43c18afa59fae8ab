//! A message under way: the body received so far, in one buffer, with its text already judged.

use super::event::MessageKind;
use super::frame::Opcode;
use super::head::Open;
use super::limits::DecoderLimits;
use crate::protocol::ProtocolError;

/// What may be reserved for a message of which nothing has arrived: one page of memory.
///
/// An announced length is a peer's claim; beyond a page, a byte received pays for a byte reserved.
const AHEAD_BYTES_MAX: usize = 4096;

/// A message of which some frames, or bytes of a frame, are missing.
///
/// # Invariants
///
/// - `frames == 0` means that no message is under way, and then the buffer is not allocated.
/// - `body[..text_len]` of a text is UTF-8, and the rest is the beginning of one character.
#[derive(Default)]
pub(super) struct Message {
    pub(super) kind: MessageKind,
    pub(super) body: Vec<u8>,
    text_len: usize,
    frames: u32,
}

impl Message {
    /// Returns the totals that the next head is judged by.
    pub(super) const fn open(&self) -> Open {
        Open { bytes: self.body.len(), frames: self.frames }
    }

    /// Counts a frame; the opcode of the first one says what kind the message is.
    pub(super) const fn begin_frame(&mut self, opcode: Opcode) {
        match opcode {
            Opcode::Text => self.kind = MessageKind::Text,
            Opcode::Binary => self.kind = MessageKind::Binary,
            Opcode::Continuation | Opcode::Close | Opcode::Ping | Opcode::Pong => {}
        }
        self.frames += 1;
    }

    /// Appends unmasked bytes of a frame that has `announced` bytes to come, these among them.
    pub(super) fn append(
        &mut self,
        bytes: &[u8],
        announced: usize,
        limits: &DecoderLimits,
    ) -> Result<(), ProtocolError> {
        self.reserve(bytes.len(), announced, limits);
        self.body.extend_from_slice(bytes);
        match self.kind {
            MessageKind::Text => self.judge_text(),
            MessageKind::Binary => Ok(()),
        }
    }

    /// Returns how many bytes begin a character of a text that is not complete: at most three.
    pub(super) const fn pending(&self) -> usize {
        match self.kind {
            MessageKind::Text => self.body.len() - self.text_len,
            MessageKind::Binary => 0,
        }
    }

    /// Makes room for `len` bytes: doubling, so that the total cost of growth is linear in the bytes received.
    fn reserve(&mut self, len: usize, announced: usize, limits: &DecoderLimits) {
        if self.body.capacity() - self.body.len() >= len {
            return;
        }
        let ahead = announced.min(AHEAD_BYTES_MAX).max(self.body.len());
        let room = limits.message_bytes_max.saturating_sub(self.body.len());
        self.body.reserve_exact(ahead.min(room).max(len));
    }

    /// Judges what was appended; looks again at no more than the three bytes of a character that was cut.
    fn judge_text(&mut self) -> Result<(), ProtocolError> {
        match simdutf8::compat::from_utf8(&self.body[self.text_len..]) {
            Ok(_) => self.text_len = self.body.len(),
            Err(error) if error.error_len().is_none() => self.text_len += error.valid_up_to(),
            Err(_) => return Err(ProtocolError::InvalidUtf8),
        }
        Ok(())
    }
}
