//! JSON data: one line, however it was written, and its text for those who read lines.

use super::chat;
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

/// Returns a JSON value without the white space between its parts. Inside of strings there is no newline, so the result
/// has none either.
pub fn compact(value: &str) -> Bytes {
    let mut compact = Vec::with_capacity(value.len());
    compact.extend(without_space(value));
    compact.into()
}

/// Returns whether these bytes are one JSON value without white space between its parts.
pub fn is_compact(bytes: &[u8]) -> bool {
    let value: Result<&RawValue, _> = serde_json::from_slice(bytes);
    value.is_ok_and(|value| without_space(value.get()).count() == bytes.len())
}

/// Appends a value as JSON.
pub fn write<T: ?Sized + Serialize>(out: &mut Vec<u8>, value: &T) {
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok(), "texts and numbers are JSON, and memory takes everything");
}

/// Appends a text as a JSON string.
///
/// # Hot path
///
/// Once per publication of text, shard and format.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    // Few texts have anything to escape: whether one has is seen many bytes at a time, because none ends the loop.
    let is_plain = |byte: u8| (byte >= b' ') & (byte != b'"') & (byte != b'\\');
    if text.bytes().fold(true, |are_plain, byte| are_plain & is_plain(byte)) {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        write(out, text);
    }
}

fn without_space(value: &str) -> impl Iterator<Item = u8> {
    let (mut is_in_string, mut is_escaped) = (false, false);
    value.bytes().filter(move |byte| {
        let is_kept = is_in_string || !matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_in_string,
            b'"' => is_in_string = !is_in_string,
            _ => {}
        }
        is_kept
    })
}

/// Returns a JSON value as a line: a string as its text, any other value as it is.
///
/// A string that stands for no text, because half of a character is missing, stays as it is too.
pub fn line(value: &[u8]) -> Bytes {
    let text = if value.first() == Some(&b'"') { serde_json::from_slice::<String>(value).ok() } else { None };
    let line = text.as_ref().map_or(value, String::as_bytes);
    chat::line(line).unwrap_or_else(|_| chat::not_text(value.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_between_parts_goes_and_inside_of_strings_stays() {
        for (value, expected) in [
            ("{\r\n\t\"a b\" : [ 1 ,\n2 ]\n}", r#"{"a b":[1,2]}"#),
            (r#""quote \" and  space""#, r#""quote \" and  space""#),
            (r#"["\\", " "]"#, r#"["\\"," "]"#),
            (" null ", "null"),
            ("1e3", "1e3"),
        ] {
            assert_eq!(compact(value), expected, "{value:?}");
        }
    }

    /// As the library writes it, whatever has to be escaped.
    #[test]
    fn text_is_written_as_a_string() {
        let all: String = (0..=0x80).filter_map(char::from_u32).collect();
        let texts = all.char_indices().map(|(at, one)| &all[at..at + one.len_utf8()]);
        for text in texts.chain(["", "hello", "sn\u{2603}w", "say \"hi\"", &all]) {
            let mut written = b"data:".to_vec();
            write_text(&mut written, text);
            assert_eq!(written, format!("data:{}", serde_json::json!(text)).as_bytes(), "{text:?}");
        }
    }

    #[test]
    fn string_is_its_text_and_anything_else_is_as_it_is() {
        for (value, expected) in [
            (r#""hello""#, "hello\n"),
            (r#""two\nlines""#, "two lines\n"),
            (r#""sn\u2603w""#, "sn\u{2603}w\n"),
            (r#"{"a":1}"#, "{\"a\":1}\n"),
            ("7", "7\n"),
            (r#""""#, "\n"),
            (r#""half \ud83d""#, "\"half \\ud83d\"\n"),
            (r#"" [throng] 3 messages skipped""#, "[throng] 3 messages skipped\n"),
        ] {
            assert_eq!(line(value.as_bytes()), expected, "{value}");
        }
    }
}
