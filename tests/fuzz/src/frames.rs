//! What holds for any bytes of a client.

use crate::protocol::{DecoderLimits, Event, FrameDecoder, ProtocolError};

const LIMITS: DecoderLimits = DecoderLimits { message_bytes_max: 4096, fragments_max: 16 };

/// Feeds bytes in pieces of this length, and returns the events as text, and the error that ended them.
fn read(bytes: &[u8], piece: usize) -> (Vec<String>, Option<ProtocolError>) {
    let (mut decoder, mut events) = (FrameDecoder::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        let mut piece = piece.to_vec();
        let mut rest = &mut piece[..];
        loop {
            match decoder.next(&mut rest, &LIMITS) {
                Ok(Some(event)) => {
                    let is_end = matches!(event, Event::Close(_));
                    events.push(format!("{event:?}"));
                    if is_end {
                        return (events, None);
                    }
                }
                Ok(None) => break,
                Err(error) => return (events, Some(error)),
            }
        }
    }
    (events, None)
}

/// Reads the length of the pieces, and the bytes that come in them.
///
/// # Panics
///
/// If the events depend on the pieces.
pub fn check(bytes: &[u8]) {
    let (&piece, bytes) = bytes.split_first().unwrap_or((&1, &[]));
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(whole, read(bytes, usize::from(piece).max(1)));
}
