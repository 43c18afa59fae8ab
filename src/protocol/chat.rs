//! The chat protocol: one line of text per message, as in the chat example of gorilla/websocket.
//!
//! A newline separates messages inside one frame, so it must not appear inside a message. This rule and the trimming
//! are those of the example, and its page works unchanged.

use super::ProtocolError;
use super::websocket::frame::{self, Opcode};
use bytes::Bytes;

/// Encodes a message as one line: newlines become spaces, white space at both ends is trimmed, one newline ends it.
///
/// White space is Unicode's `White_Space`, as in Go's `bytes.TrimSpace`. A blank message is legal and gives an empty
/// line. One allocation of the exact size; see `benches/frame.rs`.
///
/// # Errors
///
/// [`ProtocolError::InvalidUtf8`] for a binary message that is not text. The example passes it on as text, which ends
/// the connection of every browser that receives it with 1007; here it ends the connection of its sender.
pub fn line(input: &[u8]) -> Result<Bytes, ProtocolError> {
    let text = simdutf8::basic::from_utf8(input).map_err(|_| ProtocolError::InvalidUtf8)?;
    // A newline is white space itself, so trimming first gives the same text.
    let text = text.trim().as_bytes();
    let mut line = Vec::with_capacity(text.len() + 1);
    line.extend_from_slice(text);
    for byte in &mut line {
        if *byte == b'\n' {
            *byte = b' ';
        }
    }
    line.push(b'\n');
    Ok(line.into())
}

/// Encodes the notice of the policy `skip`: one frame with one line, which clients show among the messages.
pub fn skipped(publications: u64) -> Bytes {
    let plural = if publications == 1 { "" } else { "s" };
    let text = format!("[throng] {publications} message{plural} skipped: this connection is too slow");
    frame::encode(Opcode::Text, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newlines_become_spaces_and_both_ends_are_trimmed() {
        for (input, expected) in [
            ("hello", "hello\n"),
            ("  two words \t", "two words\n"),
            ("one\ntwo\n\nthree", "one two  three\n"),
            ("\n\r\n line \n", "line\n"),
            ("kept\r\ninside", "kept\r inside\n"),
            ("sn\u{2603}w", "sn\u{2603}w\n"),
        ] {
            assert_eq!(line(input.as_bytes()).unwrap(), expected, "{input:?}");
        }
    }

    /// The example broadcasts a blank message as an empty line, and so do we.
    #[test]
    fn blank_messages_are_empty_lines() {
        for input in ["", " ", "\n", "\t \n\u{a0}"] {
            assert_eq!(line(input.as_bytes()).unwrap(), "\n", "{input:?}");
        }
    }

    /// The set of Go's `unicode.IsSpace`; a zero-width space is not in it.
    #[test]
    fn unicode_white_space_is_trimmed() {
        let spaces = "\t\n\u{b}\u{c}\r \u{85}\u{a0}\u{1680}\u{2000}\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}";
        assert_eq!(line(format!("{spaces}x{spaces}").as_bytes()).unwrap(), "x\n");
        assert_eq!(line("\u{200b}x".as_bytes()).unwrap(), "\u{200b}x\n");
    }

    #[test]
    fn bytes_that_are_not_text_are_refused() {
        for input in [&b"\xff"[..], b"cut \xe2\x82", b"\xed\xa0\x80"] {
            assert_eq!(line(input), Err(ProtocolError::InvalidUtf8));
        }
    }

    #[test]
    fn a_line_costs_one_allocation_of_its_size() {
        let mut result = None;
        let cost = allocation_counter::measure(|| result = Some(line(b" sixty-four bytes would do as well ")));
        let expected = "sixty-four bytes would do as well\n";
        assert_eq!(result.unwrap().unwrap(), expected);
        assert_eq!((cost.count_total, cost.bytes_total), (1, expected.len() as u64));
    }
}
