//! A server frame: the encoding of everything we send, RFC 6455 section 5.2.
//!
//! Server frames are never masked and never fragmented, so a head depends on the opcode and the length alone. A flush
//! writes a [`Head`] in front of a range of shared bytes; the other functions make whole frames for control queues.

use crate::protocol::{CloseCode, CloseReason};
use bytes::Bytes;
pub use fastwebsockets::OpCode as Opcode;

/// The longest body of a control frame in bytes, RFC 6455 section 5.5.
pub const CONTROL_BYTES_MAX: usize = 125;

/// The head of a server frame: 2, 4 or 10 bytes, on the stack.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Head {
    bytes: [u8; 10],
    len: u8,
}

impl Head {
    /// No head: the bytes that follow have their own.
    pub const EMPTY: Self = Self { bytes: [0; 10], len: 0 };

    /// Encodes the head of a final, unmasked frame with a body of `body_len` bytes.
    ///
    /// # Hot path
    ///
    /// Runs once per flush of a connection: a few stores, no allocation. See `benches/frame.rs`.
    pub const fn new(opcode: Opcode, body_len: usize) -> Self {
        let mut bytes = [0; 10];
        bytes[0] = 0x80 | opcode as u8;
        // Lossless: no supported target has pointers of more than 64 bits.
        let [b0, b1, b2, b3, b4, b5, b6, b7] = (body_len as u64).to_be_bytes();
        let len = match body_len {
            0..126 => {
                bytes[1] = b7;
                2
            }
            126..=0xffff => {
                [bytes[1], bytes[2], bytes[3]] = [126, b6, b7];
                4
            }
            _ => {
                bytes = [bytes[0], 127, b0, b1, b2, b3, b4, b5, b6, b7];
                10
            }
        };
        Self { bytes, len }
    }

    /// Returns the bytes to send before the body.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Encodes a whole frame: one allocation of the exact size.
pub fn encode(opcode: Opcode, body: &[u8]) -> Bytes {
    concat(opcode, &[body])
}

/// Encodes a close frame: a code and the reason's text, or an empty body where there is no code.
pub fn close(reason: CloseReason, code: Option<CloseCode>) -> Bytes {
    match code {
        Some(code) => close_with(code, reason.text()),
        None => encode(Opcode::Close, &[]),
    }
}

/// Encodes a close frame with a text of at most 123 bytes.
pub fn close_with(code: CloseCode, text: &str) -> Bytes {
    concat(Opcode::Close, &[&code.as_u16().to_be_bytes(), text.as_bytes()])
}

/// Encodes the answer to a ping with this body, RFC 6455 section 5.5.3.
///
/// The body is at most [`CONTROL_BYTES_MAX`] long: the decoder delivers no longer one.
pub fn pong(body: &[u8]) -> Bytes {
    debug_assert!(body.len() <= CONTROL_BYTES_MAX, "the decoder refuses longer pings");
    encode(Opcode::Pong, body)
}

/// Returns an empty ping: no allocation, the same bytes for every connection.
pub const fn ping() -> Bytes {
    Bytes::from_static(&[0x89, 0x00])
}

fn concat(opcode: Opcode, parts: &[&[u8]]) -> Bytes {
    let body_len = parts.iter().map(|part| part.len()).sum();
    let head = Head::new(opcode, body_len);
    let mut frame = Vec::with_capacity(head.as_slice().len() + body_len);
    frame.extend_from_slice(head.as_slice());
    for part in parts {
        frame.extend_from_slice(part);
    }
    frame.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{CloseCode, ProtocolError};
    use fastwebsockets::{Frame, Payload};
    use std::io::Cursor;
    use tokio_tungstenite::tungstenite::{Message, WebSocket, protocol::Role};

    /// What a client on another implementation reads from these bytes.
    fn read_by_tungstenite(frame: &Bytes) -> Message {
        WebSocket::from_raw_socket(Cursor::new(frame.to_vec()), Role::Client, None).read().unwrap()
    }

    /// The lengths are the edges of the three forms, RFC 6455 section 5.2.
    #[test]
    fn heads_equal_those_of_fastwebsockets() {
        for len in [0, 1, 125, 126, 65_535, 65_536, 70_000] {
            for opcode in [Opcode::Text, Opcode::Binary, Opcode::Close, Opcode::Ping, Opcode::Pong] {
                let mut theirs = [0; 16];
                let size = Frame::new(true, opcode, None, Payload::Owned(vec![0; len])).fmt_head(&mut theirs);
                assert_eq!(Head::new(opcode, len).as_slice(), &theirs[..size], "{opcode:?} of {len} bytes");
            }
        }
    }

    #[test]
    fn tungstenite_reads_every_length() {
        for len in [0, 1, 125, 126, 65_535, 65_536, 70_000] {
            let text = "x".repeat(len);
            assert_eq!(read_by_tungstenite(&encode(Opcode::Text, text.as_bytes())), Message::text(text.clone()));
            assert_eq!(read_by_tungstenite(&encode(Opcode::Binary, text.as_bytes())), Message::binary(text));
        }
    }

    #[test]
    fn control_frames_are_what_they_say() {
        assert_eq!(read_by_tungstenite(&ping()), Message::Ping(Bytes::new()));
        assert_eq!(read_by_tungstenite(&pong(b"body")), Message::Pong(Bytes::from_static(b"body")));
        assert_eq!(ping(), encode(Opcode::Ping, &[]));
    }

    /// A client must learn why it was closed, whatever the reason.
    #[test]
    fn every_close_reason_carries_its_code_and_text() {
        let echo = CloseReason::Peer(Some(CloseCode::NORMAL));
        for reason in CloseReason::ALL.into_iter().chain([echo]) {
            let Message::Close(received) = read_by_tungstenite(&close(reason, reason.code())) else {
                panic!("not a close frame")
            };
            assert_eq!(received.as_ref().map(|frame| u16::from(frame.code)), reason.code().map(CloseCode::as_u16));
            assert_eq!(received.map_or(String::new(), |frame| frame.reason.to_string()), reason.text());
        }
        assert_eq!(&close(CloseReason::Peer(None), None)[..], [0x88, 0x00]);
        let reason = CloseReason::Protocol(ProtocolError::Unmasked);
        assert_eq!(&close(reason, reason.code())[..4], [0x88, 16, 0x03, 0xea]);
    }
}
