//! A reader: the state of one server-to-client byte stream, from frame edges to lines.
//!
//! Bytes are looked at where they were read. What is kept between two reads is at most a frame header, a control frame
//! or one unfinished line; a frame of any length passes through without being collected. The plain chat protocol joins
//! messages with newlines, so a WebSocket message, fragmented or not, is a list of lines and every line must be a
//! record. Other protocols wrap a record in a line of their own, and have lines without any.
//!
//! # Hot path
//!
//! [`Reader::feed`] runs once per read; its inner loop, [`whole_records`], once per delivery.
//!
//! # Invariants
//!
//! - The result depends on the stream alone, not on how it was cut into reads.

use super::protocol::Protocol;
use super::record::MARKER;
use memchr::memmem::Finder;
use thiserror::Error;

/// Bytes of a line that may stand around a record, in protocols that wrap it. JSON wrappers take some 100.
const WRAPPING_MAX: usize = 4096;

/// Bytes of the longest header a server may send: no mask.
const HEADER_MAX: usize = 10;

/// The consumer of what a reader finds.
pub(crate) trait Sink {
    /// Takes a line of the record's size; false if it is not a record, which includes anything with a newline in it.
    fn record(&mut self, line: &[u8]) -> bool;
    /// Takes what stood before a record in its line, in a protocol that wraps records.
    fn before(&mut self, text: &[u8]);
    /// Counts a line that is not a record: its length, and as much of its start as a record has.
    fn unexpected(&mut self, len: usize, start: &[u8]);
    /// Takes a line without a record, in a protocol that has such lines.
    fn without_record(&mut self, line: &[u8]);
    /// Takes a whole control frame.
    fn control(&mut self, opcode: u8, payload: &[u8]);
}

/// What a line of a protocol looks like.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Length of a record.
    size: usize,
    /// Finds a record in a line; absent if a line is a record and nothing else.
    finder: Option<Finder<'static>>,
    /// Bytes from what the finder finds to the record.
    offset: usize,
}

impl Shape {
    /// Returns the shape of `protocol`'s lines with records of `size` bytes.
    pub(crate) fn new(protocol: &Protocol, size: usize) -> Self {
        let marker = protocol.marker();
        let finder = marker.map(|marker| {
            let needle = if marker.is_empty() { &MARKER[..] } else { marker.as_bytes() };
            Finder::new(needle).into_owned()
        });
        Self { size, finder, offset: marker.map_or(0, str::len) }
    }

    /// Returns bytes of a line that are worth keeping.
    const fn line_max(&self) -> usize {
        self.size + if self.finder.is_some() { WRAPPING_MAX } else { 0 }
    }

    /// Hands on a whole line of `len` bytes, of which `line` is the start.
    pub(crate) fn judge(&self, line: &[u8], len: usize, sink: &mut impl Sink) {
        let Some(finder) = &self.finder else {
            if len != self.size || !sink.record(line) {
                sink.unexpected(len, &line[..line.len().min(self.size)]);
            }
            return;
        };
        let Some(at) = finder.find(line) else { return sink.without_record(line) };
        let rest = &line[(at + self.offset).min(line.len())..];
        match rest.split_at_checked(self.size) {
            None => sink.unexpected(rest.len(), rest),
            Some((record, _)) if !sink.record(record) => sink.unexpected(self.size, record),
            Some((_, after)) if finder.find(after).is_some() => sink.unexpected(rest.len(), after),
            Some(_) => sink.before(&line[..at]),
        }
    }
}

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
            self.lines(piece, is_last, shape, sink);
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
            if self.line_len == 0 && shape.finder.is_none() {
                piece = whole_records(piece, shape.size, sink);
                // The last record of a message, or its only one, has no newline to look for.
                if is_last && piece.len() == shape.size && sink.record(piece) {
                    return;
                }
            }
            let end = piece.iter().position(|byte| *byte == b'\n');
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
        self.line.clear();
        // A record's room may stay; what was wrapped around it is too much for 19,000 clients.
        self.line.shrink_to(shape.size);
        self.line_len = 0;
    }
}

/// Hands on the records at the start of `piece` that are followed by a newline, and returns the rest.
///
/// # Hot path
///
/// Once per delivery: one look at the byte after the record, and the record's own check.
#[inline]
fn whole_records<'a>(mut piece: &'a [u8], size: usize, sink: &mut impl Sink) -> &'a [u8] {
    while let Some((line, [b'\n', rest @ ..])) = piece.split_at_checked(size)
        && sink.record(line)
    {
        piece = rest;
    }
    piece
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
