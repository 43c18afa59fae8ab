//! A partial frame: what the decoder remembers of a frame or message that did not arrive in one piece.

use super::event::Event;
use super::head::{ClientHead, HEAD_BYTES_MAX, is_control};
use super::limits::DecoderLimits;
use super::message::Message;
use crate::protocol::{CloseCode, ProtocolError};
use fastwebsockets::unmask;
use std::mem;

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
    /// The event that the last frame completed, until it is released.
    completed: Option<Completed>,
}

/// A complete event, whose body is still in its buffer.
#[derive(Clone, Copy)]
enum Completed {
    Message,
    Ping,
    Pong,
    Close(Option<CloseCode>),
}

impl Partial {
    /// Returns whether nothing is under way, so that the state can be dropped.
    pub(super) const fn is_empty(&self) -> bool {
        let has_message = self.message.open().frames > 0 && !matches!(self.completed, Some(Completed::Message));
        self.head_len == 0 && self.frame.is_none() && !has_message
    }

    /// Returns the bytes that are kept of what has arrived.
    pub(super) fn bytes(&self) -> usize {
        self.head_len + self.control.len() + self.message.body.len()
    }

    /// Returns the event that the last frame completed.
    pub(super) fn event(&self) -> Option<Event<'_>> {
        Some(match self.completed? {
            Completed::Message => Event::Message { kind: self.message.kind, body: &self.message.body },
            Completed::Ping => Event::Ping(&self.control),
            Completed::Pong => Event::Pong,
            Completed::Close(code) => Event::Close(code),
        })
    }

    /// Frees what the last event borrowed. Returns whether nothing is left.
    pub(super) fn release(&mut self) -> bool {
        match self.completed.take() {
            Some(Completed::Message) => self.message = Message::default(),
            Some(Completed::Ping | Completed::Pong | Completed::Close(_)) => self.control = Vec::new(),
            None => {}
        }
        self.is_empty()
    }

    /// Takes bytes up to the end of the frame under way. Returns whether that completed an event.
    pub(super) fn take_frame(&mut self, bytes: &mut &mut [u8], limits: &DecoderLimits) -> Result<bool, ProtocolError> {
        let frame = match self.frame.take() {
            Some(frame) => frame,
            None => match self.read_head(bytes, limits)? {
                (used, Some(frame)) => {
                    take(bytes, used);
                    frame
                }
                (used, None) => {
                    take(bytes, used);
                    return Ok(false);
                }
            },
        };
        let body = take(bytes, frame.body_len);
        let frame = self.read_body(frame, body, limits)?;
        if frame.body_len > 0 {
            self.frame = Some(frame);
            return Ok(false);
        }
        self.completed = self.end_frame(frame)?;
        Ok(self.completed.is_some())
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

    /// Returns what the end of a frame completes: a control frame always, a message with its last frame.
    fn end_frame(&self, frame: ClientHead) -> Result<Option<Completed>, ProtocolError> {
        if is_control(frame.opcode) {
            return Ok(Some(match Event::whole(frame.opcode, &self.control)? {
                Event::Ping(_) => Completed::Ping,
                Event::Close(code) => Completed::Close(code),
                Event::Pong | Event::Message { .. } => Completed::Pong,
            }));
        }
        if frame.is_final && self.message.pending() > 0 {
            return Err(ProtocolError::InvalidUtf8);
        }
        Ok(frame.is_final.then_some(Completed::Message))
    }
}

/// Takes at most `len` bytes off the front.
fn take<'b>(bytes: &mut &'b mut [u8], len: usize) -> &'b mut [u8] {
    let all = mem::take(bytes);
    let (front, rest) = all.split_at_mut(len.min(all.len()));
    *bytes = rest;
    front
}
