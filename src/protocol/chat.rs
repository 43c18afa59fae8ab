//! The chat protocol: one line of text per message, as in the chat example of gorilla/websocket.
//!
//! A newline separates messages inside one frame, so it must not appear inside a message. This rule and the trimming
//! are those of the example, and its page works unchanged.

use super::ProtocolError;
use super::position::Start;
use super::presence::{PresenceEvent, PresenceEventKind};
use super::websocket::frame::{self, Opcode};
use bytes::Bytes;
use std::time::Duration;

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
    let text = trim(text).as_bytes();
    let mut line = Vec::with_capacity(text.len() + 1);
    line.extend_from_slice(text);
    // Without a branch, so that many bytes are looked at at once.
    for byte in &mut line {
        *byte = if *byte == b'\n' { b' ' } else { *byte };
    }
    line.push(b'\n');
    Ok(line.into())
}

/// Trims a text. Most begin and end with a visible ASCII character, which is told without decoding characters.
fn trim(text: &str) -> &str {
    match text.as_bytes() {
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => text,
        _ => text.trim(),
    }
}

/// What the hub's own notices begin with. No client can send such a line, because white space at the beginning of a
/// message is trimmed and a newline inside of it becomes a space.
pub const NOTICE: &str = " [throng] ";

/// Encodes the notice of the policy `skip`: one frame with one line, which clients show among the messages.
pub fn skipped(publications: u64) -> Bytes {
    let plural = if publications == 1 { "" } else { "s" };
    let what =
        if publications == 0 { "joins and leaves".to_owned() } else { format!("{publications} message{plural}") };
    let text = format!("{NOTICE}{what} skipped: this connection is too slow");
    frame::encode(Opcode::Text, text.as_bytes())
}

/// Encodes the line that stands for publications that were lost; how many is not known.
pub fn lost() -> Bytes {
    Bytes::from_static(b" [throng] messages lost: the hub cannot get them any more\n")
}

/// Encodes the line that stands for data that is not text.
pub fn not_text(bytes: usize) -> Bytes {
    let plural = if bytes == 1 { " left out: it is" } else { "s left out: they are" };
    format!("{NOTICE}{bytes} byte{plural} not text\n").into()
}

/// Encodes the line that says where a subscriber begins: `position EPOCH:OFFSET N`, or `position none 0` without
/// history, where N publications follow; and when it named a position, `recovered` or `incomplete`.
pub fn position(start: Start) -> Bytes {
    let position = start.position.map_or_else(|| "none".to_owned(), |position| position.to_string());
    let outcome = match start.is_recovered {
        None => "",
        Some(true) => " recovered",
        Some(false) => " incomplete",
    };
    format!("{NOTICE}position {position} {}{outcome}\n", start.publications).into()
}

/// Encodes the line that says how many subscribers the channel has.
pub fn occupancy(subscribers: u32) -> Bytes {
    format!("{NOTICE}here {subscribers}\n").into()
}

/// Appends the line that says who has joined or left: `joined {"user":"42","client":"0/17.3"}`.
pub fn presence_event(event: &PresenceEvent, out: &mut Vec<u8>) {
    let word = match event.kind {
        PresenceEventKind::Join => "joined ",
        PresenceEventKind::Leave => "left ",
    };
    out.extend_from_slice(NOTICE.as_bytes());
    out.extend_from_slice(word.as_bytes());
    event.info().push_json(&event.client, out);
    out.push(b'\n');
}

/// Encodes the sign of life that a client can see: browsers do not show pings to a page. It says within how many
/// seconds the next one comes.
pub fn sign_of_life(interval: Duration) -> Bytes {
    let seconds = interval.as_secs() + u64::from(interval.subsec_nanos() > 0);
    frame::encode(Opcode::Text, format!("{NOTICE}ping {seconds}").as_bytes())
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

    /// A client must not be able to say something in the hub's name.
    #[test]
    fn no_message_of_a_client_looks_like_a_notice_of_the_hub() {
        let notices = [skipped(3), sign_of_life(Duration::from_secs(54))];
        let texts = notices.iter().map(|frame| std::str::from_utf8(&frame[2..]).unwrap().to_owned());
        let texts: Vec<_> =
            texts.chain([NOTICE.to_owned(), format!("x\n{NOTICE}y"), format!("\r\n{NOTICE}z")]).collect();
        for text in texts {
            for space in ["", " ", "\n", "\t", "\u{a0}", "\u{2028}"] {
                let sent = line(format!("{space}{text}").as_bytes()).unwrap();
                let lines = std::str::from_utf8(&sent).unwrap().split('\n');
                assert!(lines.into_iter().all(|line| !line.starts_with(NOTICE)), "{text:?}: {sent:?}");
            }
        }
    }

    #[test]
    fn sign_of_life_says_when_the_next_one_comes() {
        for (millis, text) in [(54_000, " [throng] ping 54"), (1_500, " [throng] ping 2")] {
            assert_eq!(&sign_of_life(Duration::from_millis(millis))[2..], text.as_bytes());
        }
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
