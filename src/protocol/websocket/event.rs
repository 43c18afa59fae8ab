//! Events: what a client sent, and which bodies a whole frame may have.

use super::frame::Opcode;
use crate::protocol::{CloseCode, ProtocolError};

/// The kind of a message, as its sender declares it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum MessageKind {
    /// Valid UTF-8.
    Text,
    /// Any bytes.
    #[default]
    Binary,
}

/// What a client sent, borrowed from its bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event<'a> {
    /// A whole message.
    Message {
        /// Text or binary.
        kind: MessageKind,
        /// The message; valid UTF-8 when `kind` is [`MessageKind::Text`].
        body: &'a [u8],
    },
    /// A ping with its body of at most 125 bytes, to be answered with the same, RFC 6455 section 5.5.2.
    Ping(&'a [u8]),
    /// A pong, asked for or not.
    Pong,
    /// A close frame and its code; the last event of a connection.
    Close(Option<CloseCode>),
}

impl<'a> Event<'a> {
    /// Judges the unmasked body of a frame that is not part of a fragmented message.
    pub(super) fn whole(opcode: Opcode, body: &'a [u8]) -> Result<Self, ProtocolError> {
        match opcode {
            Opcode::Text => judge_text(body).map(|()| Event::Message { kind: MessageKind::Text, body }),
            Opcode::Binary => Ok(Event::Message { kind: MessageKind::Binary, body }),
            Opcode::Continuation => Err(ProtocolError::StrayContinuation),
            Opcode::Close => close_code(body).map(Event::Close),
            Opcode::Ping => Ok(Event::Ping(body)),
            Opcode::Pong => Ok(Event::Pong),
        }
    }
}

fn judge_text(text: &[u8]) -> Result<(), ProtocolError> {
    simdutf8::basic::from_utf8(text).map(|_| ()).map_err(|_| ProtocolError::InvalidUtf8)
}

/// Judges the body of a close frame, RFC 6455 section 5.5.1; the reason is checked and not kept.
fn close_code(body: &[u8]) -> Result<Option<CloseCode>, ProtocolError> {
    match body {
        [] => Ok(None),
        [_] => Err(ProtocolError::CloseTooShort),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            let code = CloseCode::from_wire(code).ok_or(ProtocolError::BadCloseCode { code })?;
            judge_text(reason).map(|()| Some(code))
        }
    }
}
