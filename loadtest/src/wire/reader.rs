//! A reader: the state of one server-to-client byte stream, from frame edges to lines.
//!
//! Bytes are looked at where they were read. What is kept between two reads is at most a frame header, a control frame
//! or one unfinished line; a frame of any length passes through without being collected. The plain chat protocol joins
//! messages with newlines, so a WebSocket message, fragmented or not, is a list of lines and every line must be a
//! record. Other protocols wrap a record in a line of their own, and have lines without any. Where lengths stand in
//! place of newlines, what is called a line here is a reply with its length.
//!
//! # Hot path
//!
//! [`Reader::feed`] runs once per read; what it calls of [`Shape`], once per delivery.
//!
//! # Invariants
//!
//! - The result depends on the stream alone, not on how it was cut into reads.

use super::protobuf;
use super::shape::{Shape, Sink};
use memchr::memchr;
use thiserror::Error;

/// Bytes of the longest header a server may send: no mask.
const HEADER_MAX: usize = 10;

/// How a server broke RFC 6455. There is no way to go on after any of these.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub(crate) enum Violation {
    #[error("a masked frame (RFC 6455 section 5.1)")]
    Masked,
    #[error("reserved bits {0:#04x} without an extension (section 5.2)")]
    Reserved(u8),
    #[error("opcode {0:#x} out of place (sections 5.2, 5.4)")]
    Opcode(u8),
    #[error("a fragmented or long control frame (section 5.5)")]
    Control,
}

/// One stream's state between two reads.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// Payload bytes of the current frame that have not come yet; 0 between frames.
    remaining: u64,
    header: [u8; HEADER_MAX],
    header_len: u8,
    opcode: u8,
    is_final: bool,
    /// A text or binary message has begun and its last fragment has not ended.
    in_message: bool,
    /// Length of the unfinished line. `line` holds no more of it than its shape allows, whatever the server sends.
    line_len: usize,
    line: Vec<u8>,
    control: Vec<u8>,
}

impl Reader {
    /// Reads on.
    ///
    /// # Errors
    ///
    /// Fails when the server breaks RFC 6455.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], shape: &Shape, sink: &mut impl Sink) -> Result<(), Violation> {
        while !bytes.is_empty() {
            if self.remaining == 0 {
                let used = self.take_header(bytes)?;
                bytes = &bytes[used..];
                let is_begun = self.header_len == 0;
                // An empty frame has no payload to end it.
                if is_begun && self.remaining == 0 {
                    self.payload(&[], shape, sink);
                }
                continue;
            }
            let take = usize::try_from(self.remaining).map_or(bytes.len(), |remaining| remaining.min(bytes.len()));
            let (payload, rest) = bytes.split_at(take);
            self.remaining -= take as u64;
            self.payload(payload, shape, sink);
            bytes = rest;
        }
        Ok(())
    }

    /// Takes header bytes until the header is whole (then `header_len` is 0 again) and returns how many it used.
    fn take_header(&mut self, bytes: &[u8]) -> Result<usize, Violation> {
        let held = usize::from(self.header_len);
        let mut header = self.header;
        let copied = bytes.len().min(HEADER_MAX - held);
        header[held..held + copied].copy_from_slice(&bytes[..copied]);
        let have = held + copied;
        let need = match (have, header[1] & 0x7f) {
            (0..2, _) => HEADER_MAX,
            (_, 126) => 4,
            (_, 127) => 10,
            _ => 2,
        };
        if have < need {
            self.header = header;
            // At most nine bytes are ever held.
            self.header_len = u8::try_from(have).unwrap_or_default();
            return Ok(copied);
        }
        self.header_len = 0;
        let len = match need {
            4 => u64::from(u16::from_be_bytes([header[2], header[3]])),
            10 => header[2..].iter().fold(0, |len, byte| len << 8 | u64::from(*byte)),
            _ => u64::from(header[1] & 0x7f),
        };
        self.begin(header[0], header[1], len)?;
        Ok(need - held)
    }

    /// Checks a frame's header and makes it the current frame.
    fn begin(&mut self, first: u8, second: u8, len: u64) -> Result<(), Violation> {
        if second & 0x80 != 0 {
            return Err(Violation::Masked);
        }
        if first & 0x70 != 0 {
            return Err(Violation::Reserved(first & 0x70));
        }
        self.opcode = first & 0x0f;
        self.is_final = first & 0x80 != 0;
        match (self.opcode, self.in_message) {
            (0, true) | (1 | 2, false) => self.in_message = true,
            (8..=10, _) if self.is_final && len <= 125 => {}
            (8..=10, _) => return Err(Violation::Control),
            _ => return Err(Violation::Opcode(self.opcode)),
        }
        self.remaining = len;
        Ok(())
    }

    /// Takes the next piece of the current frame's payload; the frame ends with it if nothing remains.
    fn payload(&mut self, piece: &[u8], shape: &Shape, sink: &mut impl Sink) {
        let is_end = self.remaining == 0;
        if self.opcode < 8 {
            let is_last = is_end && self.is_final;
            if shape.has_lengths() {
                self.replies(piece, is_last, shape, sink);
            } else {
                self.lines(piece, is_last, shape, sink);
            }
            self.in_message = !is_last;
        } else if is_end && self.control.is_empty() {
            sink.control(self.opcode, piece);
        } else {
            self.control.extend_from_slice(piece);
            if is_end {
                sink.control(self.opcode, &self.control);
                // Control frames that straddle reads are rare, so nothing is kept for the next one.
                self.control = Vec::new();
            }
        }
    }

    /// Cuts a piece of a message into lines; the message ends with the piece if `is_last`.
    fn lines(&mut self, mut piece: &[u8], is_last: bool, shape: &Shape, sink: &mut impl Sink) {
        loop {
            if self.line_len == 0 {
                let Some(rest) = shape.take(piece, is_last, sink) else { return };
                piece = rest;
            }
            let end = memchr(b'\n', piece);
            let (line, rest) = piece.split_at(end.unwrap_or(piece.len()));
            if end.is_none() && !is_last {
                self.hold(line, shape);
                return;
            }
            self.end_line(line, shape, sink);
            if end.is_none() {
                return;
            }
            piece = &rest[1..];
        }
    }

    /// Cuts a piece of a message into replies; the message ends with the piece if `is_last`.
    fn replies(&mut self, mut piece: &[u8], is_last: bool, shape: &Shape, sink: &mut impl Sink) {
        loop {
            if self.line_len == 0 {
                piece = shape.take_replies(piece, sink);
            }
            if piece.is_empty() {
                break;
            }
            // A reply that is not whole: its length, byte by byte, then the rest of it.
            let take = self.reply_rest().map_or(1, |rest| rest.min(piece.len()));
            let (part, rest) = piece.split_at(take);
            self.hold(part, shape);
            piece = rest;
            if self.reply_rest() == Some(0) {
                let prefix = self.line.len() - protobuf::varint(&self.line).map_or(0, |(_, reply)| reply.len());
                shape.judge(&self.line[prefix..], self.line_len - prefix, sink);
                self.let_go(shape);
            }
        }
        if is_last && self.line_len > 0 {
            sink.unexpected(self.line_len, &self.line[..self.line.len().min(shape.size())]);
            self.let_go(shape);
        }
    }

    /// Returns the bytes that are missing of the reply that is held; nothing while its length is not known.
    fn reply_rest(&self) -> Option<usize> {
        let (len, reply) = protobuf::varint(&self.line).ok()?;
        let prefix = self.line.len() - reply.len();
        Some(usize::try_from(len).unwrap_or(usize::MAX).saturating_add(prefix) - self.line_len)
    }

    /// Keeps the start of a line until the rest of it comes.
    fn hold(&mut self, part: &[u8], shape: &Shape) {
        let room = shape.line_max().saturating_sub(self.line.len()).min(part.len());
        self.line.reserve_exact(room);
        self.line.extend_from_slice(&part[..room]);
        self.line_len += part.len();
    }

    /// Hands on a line, of which `part` is the end.
    fn end_line(&mut self, part: &[u8], shape: &Shape, sink: &mut impl Sink) {
        if self.line_len == 0 {
            return shape.judge(part, part.len(), sink);
        }
        self.hold(part, shape);
        shape.judge(&self.line, self.line_len, sink);
        self.let_go(shape);
    }

    fn let_go(&mut self, shape: &Shape) {
        self.line.clear();
        // A record's room may stay; what was wrapped around it is too much for 19,000 clients.
        self.line.shrink_to(shape.size());
        self.line_len = 0;
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
