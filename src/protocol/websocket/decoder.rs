//! The frame decoder: decides what a client's bytes mean, and refuses those that break a rule.
//!
//! It takes bytes as the network cut them and delivers messages and control frames. It applies the rules of RFC 6455
//! strictly and adds two limits. It does no I/O: the reader of the socket feeds it.
//!
//! # Life of a message
//!
//! A frame that arrives whole is unmasked where it lies and delivered from there. Anything else, the beginning of a
//! frame or a message in fragments, is copied as it comes into one boxed state, which is dropped with the last byte.
//!
//! # When a limit is hit
//!
//! A head that exceeds a limit is refused before its body is read or memory is reserved for it. A peer makes us hold
//! what it has sent, twice while the buffer grows, or one page; never what it only announces.
//!
//! # Invariants
//!
//! - Between messages the decoder holds no heap. What it delivered from its own buffer goes with the next call.
//! - The events, and the error that ends them, depend on the bytes alone and not on how they were cut.
//! - After a close frame or an error, nothing is delivered.

use super::event::Event;
use super::head::{ClientHead, Open};
use super::limits::DecoderLimits;
use super::partial::Partial;
use crate::protocol::ProtocolError;
use fastwebsockets::unmask;
use std::{fmt, mem};

/// The decoder of one connection: 16 bytes between messages.
///
/// ```
/// use throng::protocol::{Event, FrameDecoder, DecoderLimits, MessageKind};
///
/// let mut bytes = [0x81, 0x82, 0, 0, 0, 0, b'h', b'i'];
/// let (mut decoder, mut rest) = (FrameDecoder::new(), &mut bytes[..]);
/// while let Some(event) = decoder.next(&mut rest, &DecoderLimits::default())? {
///     assert_eq!(event, Event::Message { kind: MessageKind::Text, body: b"hi" });
/// }
/// assert!(rest.is_empty());
/// # Ok::<(), throng::protocol::ProtocolError>(())
/// ```
#[derive(Default)]
pub struct FrameDecoder {
    partial: Option<Box<Partial>>,
    is_closed: bool,
}

impl FrameDecoder {
    /// Returns the decoder of a new connection; allocates nothing.
    pub const fn new() -> Self {
        Self { partial: None, is_closed: false }
    }

    /// Returns the next event, and takes the bytes up to its end off the front of `bytes`; `None` when it took them all
    /// and no event is complete.
    ///
    /// The bytes taken are overwritten. After a close frame all that follow are dropped.
    ///
    /// # Errors
    ///
    /// The first rule broken or limit exceeded. It ends the connection: the decoder is closed and drops the rest.
    ///
    /// # Hot path
    ///
    /// Runs once per inbound message, and once more per read of a socket. A frame that lies whole in `bytes` costs no
    /// allocation and no copy: one pass to unmask, one to check UTF-8. See `benches/decoder.rs`.
    #[inline]
    pub fn next<'a, 'b: 'a>(
        &'a mut self,
        bytes: &mut &'b mut [u8],
        limits: &DecoderLimits,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        if self.partial.is_some() || self.is_closed {
            return self.next_slowly(bytes, limits);
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        match whole_frame(bytes, limits) {
            Ok(None) => self.next_slowly(bytes, limits),
            Ok(Some(Event::Close(code))) => {
                self.is_closed = true;
                Ok(Some(Event::Close(code)))
            }
            Err(error) => {
                self.is_closed = true;
                Err(error)
            }
            message => message,
        }
    }

    /// Returns whether no frame or message is incomplete, so that no time limit runs.
    pub fn is_idle(&self) -> bool {
        self.is_closed || self.partial.as_ref().is_none_or(|partial| partial.is_empty())
    }

    /// Returns the bytes of a message that has not arrived in full.
    pub fn partial_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.bytes())
    }

    /// Returns whether a close frame or an error has ended the stream.
    pub const fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Returns the next event where a frame did not arrive whole, or the stream is closed.
    #[inline(never)]
    fn next_slowly<'a, 'b: 'a>(
        &'a mut self,
        bytes: &mut &'b mut [u8],
        limits: &DecoderLimits,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        if self.is_closed {
            self.close();
            *bytes = &mut [];
            return Ok(None);
        }
        if let Some(partial) = &mut self.partial
            && partial.release()
        {
            self.partial = None;
            // The next frame may be there whole.
            return self.next(bytes, limits);
        }
        while !bytes.is_empty() {
            match self.partial.get_or_insert_default().take_frame(bytes, limits) {
                Ok(false) => {}
                Ok(true) => break,
                Err(error) => {
                    self.close();
                    return Err(error);
                }
            }
        }
        let event = self.partial.as_ref().and_then(|partial| partial.event());
        self.is_closed = matches!(event, Some(Event::Close(_)));
        Ok(event)
    }

    fn close(&mut self) {
        *self = Self { partial: None, is_closed: true };
    }
}

/// Shows no more than the state: the bytes of a peer do not belong in a log.
impl fmt::Debug for FrameDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameDecoder").field("is_idle", &self.is_idle()).field("is_closed", &self.is_closed).finish()
    }
}

/// Returns the first frame's event in place, if all of it is there and it is a whole message or a control frame.
///
/// # Hot path
///
/// Runs once per inbound message: no allocation, no copy.
#[inline]
fn whole_frame<'b>(bytes: &mut &'b mut [u8], limits: &DecoderLimits) -> Result<Option<Event<'b>>, ProtocolError> {
    let Some(head) = ClientHead::parse(bytes, Open::default(), limits)?.filter(|head| head.is_final) else {
        return Ok(None);
    };
    let end = head.size + head.body_len;
    if end > bytes.len() {
        return Ok(None);
    }
    let (frame, rest) = mem::take(bytes).split_at_mut(end);
    *bytes = rest;
    let body = &mut frame[head.size..];
    unmask(body, head.mask);
    Event::whole(head.opcode, body).map(Some)
}
