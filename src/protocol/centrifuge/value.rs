//! What was published, or sent, as a value of either format.
//!
//! Both formats carry the same: the JSON value that a JSON client sent, or the JSON string of a chat client's text.
//! Bytes of a Protobuf client reach other Protobuf clients as they are. JSON has no bytes, so there they become what
//! comes closest: the JSON value that they are, else the string of their text, else an object that says what it holds,
//! `{"b64data":"..."}`.

use crate::protocol::{Content, Payload, json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::value::RawValue;

/// Returns the payload of the bytes that a Protobuf client sent: a JSON value if they are one as it is written here, so
/// that every client gets what a JSON client would have published.
pub(super) fn payload(data: Bytes) -> Payload {
    let content = if json::is_compact(&data) { Content::Json } else { Content::Binary };
    Payload::new(content, data)
}

/// Returns the data of a payload for Protobuf clients.
pub(super) fn bytes(payload: &Payload) -> Bytes {
    match payload.content {
        Content::Json | Content::Binary => payload.data.clone(),
        Content::Line | Content::Text => text(payload),
    }
}

/// Appends the data of a payload to `out` as one JSON value without newlines.
pub(super) fn write_text(payload: &Payload, out: &mut Vec<u8>) {
    let data = &payload.data;
    match payload.content {
        Content::Line => write_string_or_base64(data.strip_suffix(b"\n").unwrap_or(data), out),
        Content::Text => write_string_or_base64(data, out),
        Content::Json | Content::Binary => out.extend_from_slice(&text(payload)),
    }
}

/// Returns the data of a payload as one JSON value without newlines.
pub(super) fn text(payload: &Payload) -> Bytes {
    let data = &payload.data;
    match payload.content {
        Content::Json => data.clone(),
        Content::Line => string_or_base64(data.strip_suffix(b"\n").unwrap_or(data)),
        Content::Text => string_or_base64(data),
        Content::Binary => {
            let value: Result<&RawValue, _> = serde_json::from_slice(data);
            value.map_or_else(|_| string_or_base64(data), |value| json::compact(value.get()))
        }
    }
}

fn string_or_base64(data: &[u8]) -> Bytes {
    let mut string = Vec::with_capacity(data.len() + 2);
    write_string_or_base64(data, &mut string);
    string.into()
}

fn write_string_or_base64(data: &[u8], out: &mut Vec<u8>) {
    match std::str::from_utf8(data) {
        Ok(text) => json::write_text(out, text),
        Err(_) => out.extend_from_slice(format!(r#"{{"b64data":"{}"}}"#, STANDARD.encode(data)).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clients of both formats get a publication in the same form where possible, whatever its publisher speaks.
    #[test]
    fn every_content_has_a_value_in_both_formats() {
        let published = |content, data: &'static [u8]| Payload::new(content, Bytes::from_static(data));
        for (payload, in_json, in_protobuf) in [
            (published(Content::Line, b"say \"hi\"\n"), &br#""say \"hi\"""#[..], &br#""say \"hi\"""#[..]),
            (published(Content::Text, b"two\nlines"), br#""two\nlines""#, br#""two\nlines""#),
            (published(Content::Json, br#"{"a":1}"#), br#"{"a":1}"#, br#"{"a":1}"#),
            (published(Content::Binary, b"{ \"a\":\n1 }"), br#"{"a":1}"#, b"{ \"a\":\n1 }"),
            (published(Content::Binary, b"plain"), br#""plain""#, b"plain"),
            (published(Content::Binary, b""), br#""""#, b""),
            (published(Content::Binary, b"\xff\0"), br#"{"b64data":"/wA="}"#, b"\xff\0"),
            // JSON whose string is not UTF-8 is not JSON.
            (published(Content::Binary, b"\"\xff\""), br#"{"b64data":"Iv8i"}"#, b"\"\xff\""),
        ] {
            assert_eq!(text(&payload), in_json, "{payload:?}");
            let mut written = b"before".to_vec();
            write_text(&payload, &mut written);
            assert_eq!(written, [b"before", in_json].concat(), "{payload:?}");
            assert_eq!(bytes(&payload), in_protobuf, "{payload:?}");
        }
    }

    /// Other white space has to reach Protobuf clients too.
    #[test]
    fn bytes_are_json_only_as_they_would_be_written_here() {
        for (data, content) in [
            (&br#"{"a":[1,"b c",null]}"#[..], Content::Json),
            (b"7", Content::Json),
            (b"{\"a\": 1}", Content::Binary),
            (b" 7", Content::Binary),
            (b"7\n", Content::Binary),
            (b"hello", Content::Binary),
            (b"\"\xff\"", Content::Binary),
            (b"", Content::Binary),
            (b"1 2", Content::Binary),
        ] {
            assert_eq!(payload(Bytes::copy_from_slice(data)).content, content, "{}", data.escape_ascii());
        }
    }
}
