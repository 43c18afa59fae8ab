//! A frame: its edges in a client's stream, and its bytes for all members, RFC 6455 section 5.2.
//!
//! Whole messages only: a fragment is refused, as the load generator never sends one.

use crate::client::End;

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// Bytes of the longest message: as much as a lagging client of `batch` may be owed.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Bytes of the longest payload of a control frame, RFC 6455 section 5.5.
const CONTROL_BYTES_MAX: usize = 125;

/// A final frame of a client.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) opcode: u8,
    key: [u8; 4],
    /// Still masked.
    payload: &'a [u8],
}

/// Cuts the first frame off and returns it with the bytes after it, or nothing if it has not ended.
///
/// # Errors
///
/// Fails when it is not masked, too long, a fragment, or has a reserved bit.
pub(crate) fn cut(bytes: &[u8]) -> Result<Option<(Frame<'_>, &[u8])>, End> {
    let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
    let opcode = first & 0x0f;
    // Final, no extension, masked.
    if first & 0xf0 != 0x80 || second & 0x80 == 0 {
        return Err(End::Refused);
    }
    let (len, rest) = match second & 0x7f {
        126 => {
            let Some((len, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (u64::from(u16::from_be_bytes(*len)), rest)
        }
        127 => {
            let Some((len, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (u64::from_be_bytes(*len), rest)
        }
        len => (u64::from(len), rest),
    };
    let len_max = if opcode < CLOSE { MESSAGE_BYTES_MAX } else { CONTROL_BYTES_MAX };
    let len = usize::try_from(len).ok().filter(|len| *len <= len_max).ok_or(End::Refused)?;
    let Some((key, rest)) = rest.split_first_chunk() else { return Ok(None) };
    let Some((payload, rest)) = rest.split_at_checked(len) else { return Ok(None) };
    Ok(Some((Frame { opcode, key: *key, payload }, rest)))
}

/// Appends the frame as a server sends it, with this opcode.
pub(crate) fn append(out: &mut Vec<u8>, opcode: u8, frame: &Frame<'_>) {
    out.push(0x80 | opcode);
    match (u8::try_from(frame.payload.len()), u16::try_from(frame.payload.len())) {
        (Ok(len @ ..126), _) => out.push(len),
        (_, Ok(len)) => {
            out.push(126);
            out.extend(len.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend((frame.payload.len() as u64).to_be_bytes());
        }
    }
    let start = out.len();
    out.extend_from_slice(frame.payload);
    // The load generator's key is zero, which leaves the payload as it is.
    if frame.key != [0; 4] {
        for four in out[start..].chunks_mut(4) {
            four.iter_mut().zip(frame.key).for_each(|(byte, key)| *byte ^= key);
        }
    }
}
