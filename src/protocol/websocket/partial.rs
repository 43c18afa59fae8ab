//! a partial frame: what the decoder remembers of a frame or message that did not arrive in one piece.

use super::event::Event;
use super::frame::Opcode;
use super::head::{ClientHead, HEAD_BYTES_MAX, is_control};
use super::limits::DecoderLimits;
use super::message::Message;
use crate::protocol::ProtocolError;
use fastwebsockets::unmask;
use std::{mem, ops::ControlFlow};

/// The state of the slow path, boxed so that a connection between messages does not pay for it.
#[derive(Default)]
pub(super) struct Partial {
    /// The beginning of a head.
    head: [u8; HEAD_BYTES_MAX],
    head_len: usize,
    /// The frame whose body is under way.
    frame: Option<ClientHead>,
    /// The body of a control frame under way; separate, because it may come between fragments.
    control: Vec<u8>,
    message: Message,
}

impl Partial {
    /// Returns whether nothing is under way, so that the state can be dropped.
    pub(super) const fn is_empty(&self) -> bool {
        self.head_len == 0 && self.frame.is_none() && self.message.open().frames == 0
    }

    /// Returns the bytes that are kept of what has arrived.
    pub(super) fn bytes(&self) -> usize {
        self.head_len + self.control.len() + self.message.body.len()
    }

    /// Takes bytes up to the end of the frame under way, and delivers what that completes.
    pub(super) fn step(
        &mut self,
        bytes: &mut [u8],
        limits: &DecoderLimits,
        on: &mut impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<Step, ProtocolError> {
        let (head_used, frame) = match self.frame.take() {
            Some(frame) => (0, frame),
            None => match self.read_head(bytes, limits)? {
                (used, Some(frame)) => (used, frame),
                (used, None) => return Ok(Step::partial(used)),
            },
        };
        let rest = &mut bytes[head_used..];
        let body_used = frame.body_len.min(rest.len());
        let frame = self.read_body(frame, &mut rest[..body_used], limits)?;
        let used = head_used + body_used;
        if frame.body_len > 0 {
            self.frame = Some(frame);
            return Ok(Step::partial(used));
        }
        let flow = self.end_frame(frame, on)?;
        Ok(Step { used, flow, is_close: frame.opcode == Opcode::Close })
    }

    /// Completes the head; returns how many bytes that took.
    fn read_head(
        &mut self,
        bytes: &[u8],
        limits: &DecoderLimits,
    ) -> Result<(usize, Option<ClientHead>), ProtocolError> {
        let len = bytes.len().min(HEAD_BYTES_MAX - self.head_len);
        let end = self.head_len + len;
        self.head[self.head_len..end].copy_from_slice(&bytes[..len]);
        let Some(frame) = ClientHead::parse(&self.head[..end], self.message.open(), limits)? else {
            self.head_len = end;
            return Ok((len, None));
        };
        let used = frame.size - self.head_len;
        self.head_len = 0;
        if !is_control(frame.opcode) {
            self.message.begin_frame(frame.opcode);
        }
        Ok((used, Some(frame)))
    }

    /// Unmasks bytes of the body and puts them where the frame belongs; returns the frame without them.
    fn read_body(
        &mut self,
        mut frame: ClientHead,
        bytes: &mut [u8],
        limits: &DecoderLimits,
    ) -> Result<ClientHead, ProtocolError> {
        unmask(bytes, frame.mask);
        if is_control(frame.opcode) {
            self.control.extend_from_slice(bytes);
        } else {
            self.message.append(bytes, frame.body_len, limits)?;
        }
        frame.advance(bytes.len());
        Ok(frame)
    }

    /// Delivers what the end of a frame completes: a control frame always, a message with its last frame.
    fn end_frame(
        &mut self,
        frame: ClientHead,
        on: &mut impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ProtocolError> {
        if is_control(frame.opcode) {
            let body = mem::take(&mut self.control);
            return Ok(on(Event::whole(frame.opcode, &body)?));
        }
        if !frame.is_final {
            return Ok(ControlFlow::Continue(()));
        }
        let message = mem::take(&mut self.message);
        if message.pending() > 0 {
            return Err(ProtocolError::InvalidUtf8);
        }
        Ok(on(Event::Message { kind: message.kind, body: &message.body }))
    }
}

/// Result of one step: the bytes taken, and how to continue.
pub(super) struct Step {
    pub(super) used: usize,
    pub(super) flow: ControlFlow<()>,
    pub(super) is_close: bool,
}

impl Step {
    /// Bytes taken of something that is not complete.
    pub(super) const fn partial(used: usize) -> Self {
        Self { used, flow: ControlFlow::Continue(()), is_close: false }
    }
}
