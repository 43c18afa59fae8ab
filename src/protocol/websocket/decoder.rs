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
//! - Between messages the decoder holds no heap.
//! - The events, and the error that ends them, depend on the bytes alone and not on how they were cut.
//! - After a close frame or an error, nothing is delivered.

use super::event::Event;
use super::frame::Opcode;
use super::head::{ClientHead, Open};
use super::limits::DecoderLimits;
use super::partial::{Partial, Step};
use crate::protocol::ProtocolError;
use fastwebsockets::unmask;
use std::{fmt, ops::ControlFlow};

/// The decoder of one connection: 16 bytes between messages.
///
/// ```
/// use std::ops::ControlFlow;
/// use throng::protocol::{Event, FrameDecoder, DecoderLimits, MessageKind};
///
/// let mut bytes = [0x81, 0x82, 0, 0, 0, 0, b'h', b'i'];
/// let mut decoder = FrameDecoder::new();
/// let used = decoder.feed(&mut bytes, &DecoderLimits::default(), &mut |event| {
///     assert_eq!(event, Event::Message { kind: MessageKind::Text, body: b"hi" });
///     ControlFlow::Continue(())
/// })?;
/// assert_eq!(used, 8);
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

    /// Takes bytes and calls `on` with each event in them, in order; returns how many bytes were taken.
    ///
    /// All of them are, unless `on` breaks: then the bytes after the frame of that event are untouched, and the caller
    /// feeds them again. The bytes taken are overwritten. After a close frame all bytes are dropped.
    ///
    /// # Errors
    ///
    /// The first rule broken or limit exceeded, after the events that came before it. It ends the connection: the
    /// decoder is closed and drops the rest.
    ///
    /// # Hot path
    ///
    /// Runs once per read of a socket, its loop once per inbound frame. A frame that lies whole in `bytes` costs no
    /// allocation and no copy: one pass to unmask, one to check UTF-8. See `benches/decoder.rs`.
    pub fn feed(
        &mut self,
        bytes: &mut [u8],
        limits: &DecoderLimits,
        on: &mut impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<usize, ProtocolError> {
        let mut used = 0;
        while used < bytes.len() && !self.is_closed {
            let step = self.step(&mut bytes[used..], limits, on).inspect_err(|_| self.close())?;
            used += step.used;
            if step.is_close {
                self.close();
            }
            if step.flow.is_break() {
                return Ok(used);
            }
        }
        Ok(bytes.len())
    }

    /// Returns whether no frame or message is incomplete, so that no time limit runs.
    pub const fn is_idle(&self) -> bool {
        self.partial.is_none()
    }

    /// Returns the bytes of a message that has not arrived in full.
    pub fn partial_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.bytes())
    }

    /// Returns whether a close frame or an error has ended the stream.
    pub const fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Takes one frame, or as much of it as there is.
    fn step(
        &mut self,
        bytes: &mut [u8],
        limits: &DecoderLimits,
        on: &mut impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<Step, ProtocolError> {
        if self.partial.is_none()
            && let Some(step) = whole_frame(bytes, limits, on)?
        {
            return Ok(step);
        }
        let partial = self.partial.get_or_insert_default();
        let step = partial.step(bytes, limits, on)?;
        if partial.is_empty() {
            self.partial = None;
        }
        Ok(step)
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

/// Delivers the first frame in place, if all of it is there and it is a whole message or a control frame.
///
/// # Hot path
///
/// Runs once per inbound message: no allocation, no copy.
fn whole_frame(
    bytes: &mut [u8],
    limits: &DecoderLimits,
    on: &mut impl FnMut(Event<'_>) -> ControlFlow<()>,
) -> Result<Option<Step>, ProtocolError> {
    let Some(head) = ClientHead::parse(bytes, Open::default(), limits)?.filter(|head| head.is_final) else {
        return Ok(None);
    };
    let Some(body) = bytes[head.size..].get_mut(..head.body_len) else { return Ok(None) };
    unmask(body, head.mask);
    let flow = on(Event::whole(head.opcode, body)?);
    Ok(Some(Step { used: head.size + head.body_len, flow, is_close: head.opcode == Opcode::Close }))
}
