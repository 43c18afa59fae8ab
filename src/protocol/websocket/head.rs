//! A client frame's head: which frames a client may send, RFC 6455 section 5.2.
//!
//! Bytes are judged in the order in which they arrive, each as soon as it is there, so a verdict does not depend on
//! how the network cut the stream, and no body of a forbidden frame is read.

use super::frame::{CONTROL_BYTES_MAX, Opcode};
use super::limits::DecoderLimits;
use crate::protocol::ProtocolError;

/// The longest head of a client frame: two bytes, a 64-bit length and a mask.
pub(super) const HEAD_BYTES_MAX: usize = 14;

/// The message under way, as far as the next head is concerned.
#[derive(Clone, Copy, Default)]
pub(super) struct Open {
    /// Bytes of body received.
    pub(super) bytes: usize,
    /// Frames begun; 0 means that no message is under way.
    pub(super) frames: u32,
}

/// A head that broke no rule.
#[derive(Clone, Copy)]
pub(super) struct ClientHead {
    pub(super) is_final: bool,
    pub(super) opcode: Opcode,
    pub(super) mask: [u8; 4],
    /// Bytes of body still to come.
    pub(super) body_len: usize,
    /// Bytes of the head itself.
    pub(super) size: usize,
}

impl ClientHead {
    /// Judges the bytes of a head; `None` means that none is wrong and some are missing.
    pub(super) fn parse(bytes: &[u8], open: Open, limits: &DecoderLimits) -> Result<Option<Self>, ProtocolError> {
        let Some((first, rest)) = bytes.split_first() else { return Ok(None) };
        let opcode = opcode(*first, open, limits)?;
        let Some((second, rest)) = rest.split_first() else { return Ok(None) };
        if second & 0x80 == 0 {
            return Err(ProtocolError::Unmasked);
        }
        let short = second & 0x7f;
        if is_control(opcode) && usize::from(short) > CONTROL_BYTES_MAX {
            return Err(ProtocolError::ControlTooLong);
        }
        let Some((body_len, rest)) = length(short, rest)? else { return Ok(None) };
        let body_len = if is_control(opcode) { usize::from(short) } else { within(body_len, open, limits)? };
        let Some((mask, rest)) = rest.split_first_chunk() else { return Ok(None) };
        let size = bytes.len() - rest.len();
        Ok(Some(Self { is_final: first & 0x80 != 0, opcode, mask: *mask, body_len, size }))
    }

    /// Takes `len` bytes off the front of the body; the rest begins inside the mask.
    pub(super) fn advance(&mut self, len: usize) {
        self.body_len -= len;
        self.mask.rotate_left(len % 4);
    }
}

/// Returns whether frames with this opcode may come between the fragments of a message.
pub(super) const fn is_control(opcode: Opcode) -> bool {
    matches!(opcode, Opcode::Close | Opcode::Ping | Opcode::Pong)
}

/// Judges the first byte: reserved bits, opcode, and its place in the message under way.
fn opcode(first: u8, open: Open, limits: &DecoderLimits) -> Result<Opcode, ProtocolError> {
    if first & 0x70 != 0 {
        return Err(ProtocolError::ReservedBits);
    }
    let opcode = first & 0x0f;
    let opcode = Opcode::try_from(opcode).map_err(|_| ProtocolError::UnknownOpcode { opcode })?;
    match opcode {
        Opcode::Close | Opcode::Ping | Opcode::Pong if first & 0x80 == 0 => Err(ProtocolError::ControlFragmented),
        Opcode::Close | Opcode::Ping | Opcode::Pong => Ok(opcode),
        Opcode::Continuation if open.frames == 0 => Err(ProtocolError::StrayContinuation),
        Opcode::Text | Opcode::Binary if open.frames > 0 => Err(ProtocolError::NestedMessage),
        Opcode::Continuation | Opcode::Text | Opcode::Binary if open.frames >= limits.fragments_max => {
            Err(ProtocolError::TooManyFragments { max: limits.fragments_max })
        }
        Opcode::Continuation | Opcode::Text | Opcode::Binary => Ok(opcode),
    }
}

/// Reads the length in its three forms; the shortest possible one is mandatory, and 64 bits means 63.
fn length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, ProtocolError> {
    let (len, shortest, rest) = match short {
        126 => {
            let Some((len, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (u64::from(u16::from_be_bytes(*len)), 126, rest)
        }
        127 => {
            if rest.first().is_some_and(|top| top & 0x80 != 0) {
                return Err(ProtocolError::BadLength);
            }
            let Some((len, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (u64::from_be_bytes(*len), 0x1_0000, rest)
        }
        _ => (u64::from(short), 0, rest),
    };
    if len < shortest { Err(ProtocolError::BadLength) } else { Ok(Some((len, rest))) }
}

/// Judges the announced length together with what the message already has.
fn within(announced: u64, open: Open, limits: &DecoderLimits) -> Result<usize, ProtocolError> {
    let max = limits.message_bytes_max;
    let room = max.saturating_sub(open.bytes);
    usize::try_from(announced)
        .ok()
        .filter(|len| *len <= room)
        .ok_or_else(|| ProtocolError::MessageTooBig { len: announced.saturating_add(open.bytes as u64), max })
}
