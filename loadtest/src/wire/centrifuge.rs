//! The Centrifuge client protocol, version 2: what clients say in either format, and what the answers mean.
//!
//! In JSON a WebSocket message is a list of lines, in Protobuf a list of messages, each after its length. An empty one
//! is a ping, and its answer.

use super::meaning::Meaning;
use super::protobuf::{self, Malformed, put, put_delimited, put_number};

/// What messages are written in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    Json,
    Protobuf,
}

/// The id of every publish command; its reply is not waited for.
const PUBLISH_ID: u64 = 1000;

/// What stands before the channel of a push, as servers write it.
const PUSH: &[u8] = br#"{"push":{"channel":""#;

/// What stands right before the text that was published.
const DATA: &[u8] = br#""data":""#;

/// What stands after the text that was published, where it is the last part of a push.
const TEXT_END: &[u8] = br#""}}}"#;

/// What stands at the end of every push.
const PUSH_END: &[u8] = b"}}}";

/// Numbers of fields: `Command`, and the requests in it.
mod command {
    pub(super) const ID: u8 = 1;
    pub(super) const CONNECT: u8 = 4;
    pub(super) const CONNECT_NAME: u8 = 4;
    pub(super) const SUBSCRIBE: u8 = 5;
    pub(super) const PUBLISH: u8 = 7;
    pub(super) const CHANNEL: u8 = 1;
    pub(super) const PUBLISH_DATA: u8 = 2;
}

/// Numbers of fields: `Reply`, and what is in it.
mod reply {
    pub(super) const ERROR: u8 = 2;
    pub(super) const ERROR_MESSAGE: u8 = 2;
    pub(super) const PUSH: u8 = 4;
    pub(super) const PUSH_CHANNEL: u8 = 2;
    pub(super) const PUSH_PUB: u8 = 4;
    pub(super) const PUB_DATA: u8 = 4;
    pub(super) const CONNECT: u8 = 5;
    pub(super) const SUBSCRIBE: u8 = 6;
}

/// Returns a connect and the subscribes, in one message, as the SDKs send them.
pub(super) fn hello(format: Format, channels: &[String]) -> Vec<u8> {
    let subscribes = channels.iter().zip(2..);
    match format {
        Format::Json => {
            let connect = r#"{"id":1,"connect":{"name":"loadtest"}}"#.to_owned();
            let subscribes =
                subscribes.map(|(channel, id)| format!(r#"{{"id":{id},"subscribe":{{"channel":"{channel}"}}}}"#));
            std::iter::once(connect).chain(subscribes).collect::<Vec<_>>().join("\n").into()
        }
        Format::Protobuf => {
            let mut hello = protobuf_command(1, command::CONNECT, &[(command::CONNECT_NAME, b"loadtest")]);
            for (channel, id) in subscribes {
                hello.extend(protobuf_command(id, command::SUBSCRIBE, &[(command::CHANNEL, channel.as_bytes())]));
            }
            hello
        }
    }
}

/// Returns what stands before and after a record of `size` bytes in a publish command. It is published as a JSON
/// string, in both formats, so that both carry the same.
pub(super) fn wrapping(format: Format, channel: &str, size: usize) -> (Vec<u8>, Vec<u8>) {
    match format {
        Format::Json => {
            let before = format!(r#"{{"id":{PUBLISH_ID},"publish":{{"channel":"{channel}","data":""#);
            (before.into(), br#""}}"#.to_vec())
        }
        Format::Protobuf => {
            let data = [&b"\""[..], &vec![0; size], b"\""].concat();
            let parts = [(command::CHANNEL, channel.as_bytes()), (command::PUBLISH_DATA, &data)];
            let mut before = protobuf_command(PUBLISH_ID, command::PUBLISH, &parts);
            let after = before.split_off(before.len() - 1);
            before.truncate(before.len() - size);
            (before, after)
        }
    }
}

/// Returns a command after its length.
fn protobuf_command(id: u64, field: u8, parts: &[(u8, &[u8])]) -> Vec<u8> {
    let (mut request, mut command, mut out) = (Vec::new(), Vec::new(), Vec::new());
    parts.iter().for_each(|(number, value)| put(*number, value, &mut request));
    put_number(command::ID, id, &mut command);
    put(field, &request, &mut command);
    put_delimited(&command, &mut out);
    out
}

/// Reads a message without a record.
pub(super) fn meaning(format: Format, message: &[u8]) -> Meaning {
    match format {
        Format::Json => json_meaning(message),
        Format::Protobuf => protobuf_meaning(message).unwrap_or(Meaning::Nothing),
    }
}

fn json_meaning(line: &[u8]) -> Meaning {
    let has = |text: &str| memchr::memmem::find(line, text.as_bytes()).is_some();
    if line.trim_ascii() == b"{}" {
        Meaning::Reply(b"{}")
    } else if has(r#""error":"#) {
        Meaning::Refused(String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned())
    } else if has(r#""connect":"#) || has(r#""subscribe":"#) {
        Meaning::Ready
    } else {
        Meaning::Nothing
    }
}

fn protobuf_meaning(message: &[u8]) -> Result<Meaning, Malformed> {
    let field = |number| protobuf::field(message, number);
    Ok(if message.is_empty() {
        // An empty command after its length.
        Meaning::Reply(&[0])
    } else if let Some(error) = field(reply::ERROR)? {
        let text = protobuf::field(error, reply::ERROR_MESSAGE)?.unwrap_or_default();
        let code = protobuf::first_number(error);
        Meaning::Refused(format!("error {code}: {}", String::from_utf8_lossy(&text[..text.len().min(200)])))
    } else if field(reply::CONNECT)?.is_some() || field(reply::SUBSCRIBE)?.is_some() {
        Meaning::Ready
    } else {
        Meaning::Nothing
    })
}

/// Cuts a record of `size` bytes out of the push that `piece` begins with, if it is one as servers write it: returns
/// what stands before the record, the record, and what follows the push. `start` is the first byte of every record.
///
/// # Hot path
///
/// Once per delivery: one search, up to the record, and a comparison at either end.
#[inline]
pub(super) fn split_push(piece: &[u8], start: u8, size: usize) -> Option<(&[u8], &[u8], &[u8])> {
    if !piece.starts_with(PUSH) {
        return None;
    }
    // A line that ends before its record is another one.
    let at = memchr::memchr2(b'\n', start, piece)?;
    let (before, rest) = piece.split_at(at);
    let (record, rest) = rest.split_at_checked(size).filter(|_| before.ends_with(DATA))?;
    let rest = match rest.strip_prefix(TEXT_END) {
        Some(rest) => rest,
        None => end_of_push(rest, start)?,
    };
    Some((before, record, rest))
}

/// Returns what follows a push that has more after its text, unless that may be another record.
fn end_of_push(rest: &[u8], start: u8) -> Option<&[u8]> {
    let end = memchr::memchr2(b'\n', start, rest).unwrap_or(rest.len());
    let (push, rest) = rest.split_at(end);
    (push.starts_with(b"\"") && push.ends_with(PUSH_END)).then_some(rest)
}

/// Returns the key of `Publication.data` with the length of a record of `size` bytes in quotes, as it stands before
/// one.
pub(super) fn data_key(size: usize) -> Box<[u8]> {
    let mut key = vec![protobuf::key(reply::PUB_DATA)];
    protobuf::put_varint(size as u64 + 2, &mut key);
    key.into()
}

/// Cuts a record of `size` bytes out of a Protobuf reply, if that is a push with the record at its end, as throng
/// writes it. `key` is that of [`data_key`].
///
/// # Hot path
///
/// Once per delivery: the lengths of the push, and a comparison before the record.
#[inline]
pub(super) fn last_pushed<'a>(message: &'a [u8], key: &[u8], size: usize) -> Option<&'a [u8]> {
    let value = |bytes: &'a [u8], field: u8| match bytes.split_first() {
        Some((first, rest)) if *first == protobuf::key(field) => protobuf::delimited(rest).ok(),
        _ => None,
    };
    let (push, []) = value(message, reply::PUSH)? else { return None };
    let (_, push) = value(push, reply::PUSH_CHANNEL)?;
    let (publication, []) = value(push, reply::PUSH_PUB)? else { return None };
    let (before, quoted) = publication.split_at_checked(publication.len().checked_sub(size + 2)?)?;
    let [b'"', record @ .., b'"'] = quoted else { return None };
    before.ends_with(key).then_some(record)
}

/// Returns the text that a Protobuf reply pushes, without its quotes; nothing if it pushes none.
///
/// # Hot path
///
/// Once per delivery of a server that does not write as [`last_pushed`] expects: every field of the reply, of the push
/// and of the publication is read.
pub(super) fn pushed(message: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    let Some(push) = protobuf::field(message, reply::PUSH)? else { return Ok(None) };
    let Some(publication) = protobuf::field(push, reply::PUSH_PUB)? else { return Ok(None) };
    let data = protobuf::field(publication, reply::PUB_DATA)?.unwrap_or_default();
    Ok(Some(match data {
        [b'"', text @ .., b'"'] => text,
        data => data,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMATS: [Format; 2] = [Format::Json, Format::Protobuf];

    #[test]
    fn client_connects_and_subscribes_in_one_message() {
        let channels = ["a".to_owned(), "b".to_owned()];
        let hello = String::from_utf8(hello(Format::Json, &channels)).unwrap();
        let commands: Vec<serde_json::Value> = hello.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(commands[0]["connect"]["name"], "loadtest");
        assert_eq!(commands[2]["subscribe"]["channel"], "b");
        assert!(commands.iter().all(|command| command["id"].as_u64() > Some(0)));
    }

    /// Written down byte by byte from the schema.
    #[test]
    fn protobuf_commands_are_as_the_schema_says() {
        let hello = hello(Format::Protobuf, &["a".to_owned()]);
        let connect = b"\x0e\x08\x01\x22\x0a\x22\x08loadtest";
        assert_eq!(hello, [&connect[..], b"\x07\x08\x02\x2a\x03\x0a\x01a"].concat());
        let (before, after) = wrapping(Format::Protobuf, "news", 4);
        assert_eq!(
            [&before[..], b"@lt1", &after].concat(),
            b"\x13\x08\xe8\x07\x3a\x0e\x0a\x04news\x12\x06\"@lt1\"",
            "{before:02x?}"
        );
    }

    #[test]
    fn publication_is_json() {
        let (before, after) = wrapping(Format::Json, "news", 4);
        let command: serde_json::Value = serde_json::from_slice(&[&before[..], b"@lt1...$", &after].concat()).unwrap();
        assert_eq!(command["publish"]["channel"], "news");
        assert_eq!(command["publish"]["data"], "@lt1...$");
    }

    #[test]
    fn lines_are_understood() {
        let meaning = |line: &str| meaning(Format::Json, line.as_bytes());
        assert_eq!(meaning("{}"), Meaning::Reply(b"{}"));
        assert_eq!(meaning(r#"{"id":1,"connect":{"client":"x","ping":25,"pong":true}}"#), Meaning::Ready);
        assert_eq!(meaning(r#"{"id":2,"subscribe":{}}"#), Meaning::Ready);
        assert_eq!(meaning(r#"{"id":9,"publish":{}}"#), Meaning::Nothing);
        let error = r#"{"id":2,"error":{"code":103,"message":"permission denied"}}"#;
        assert_eq!(meaning(error), Meaning::Refused(error.to_owned()));
    }

    #[test]
    fn protobuf_replies_are_understood() {
        let meaning = |message: &[u8]| meaning(Format::Protobuf, message);
        assert_eq!(meaning(b""), Meaning::Reply(&[0]));
        assert_eq!(meaning(b"\x08\x01\x2a\x03\x0a\x01x"), Meaning::Ready, "connect");
        assert_eq!(meaning(b"\x08\x02\x32\x00"), Meaning::Ready, "subscribe");
        assert_eq!(meaning(b"\x08\x09\x42\x00"), Meaning::Nothing, "publish");
        assert_eq!(meaning(b"\x08\x02\x12\x06\x08\x67\x12\x02no"), Meaning::Refused("error 103: no".to_owned()));
        assert_eq!(meaning(b"\x07"), Meaning::Nothing, "no message at all");
    }

    /// A line that is not written like this is left to the search for records anywhere in it.
    #[test]
    fn only_the_usual_push_is_split() {
        let split = |line: &str| {
            let parts = split_push(line.as_bytes(), b'@', 4)?;
            Some([parts.1, parts.2].map(|part| String::from_utf8(part.to_vec()).unwrap()))
        };
        let push = r#"{"push":{"channel":"a","pub":{"offset":7,"data":"@lt1"}}}"#;
        assert_eq!(split(push), Some(["@lt1".to_owned(), String::new()]));
        assert_eq!(split(&format!("{push}\n{push}")), Some(["@lt1".to_owned(), format!("\n{push}")]));
        let push = r#"{"push":{"channel":"a","pub":{"data":"@lt1","info":{"client":"x"},"offset":7}}}"#;
        assert_eq!(split(push), Some(["@lt1".to_owned(), String::new()]));
        assert_eq!(split(&format!("{push}\n{push}")), Some(["@lt1".to_owned(), format!("\n{push}")]));
        for other in [
            r#"{"push":{"channel":"a","pub":{"data":"@lt1","offset":7}}"#,
            r#"{"push":{"channel":"a","pub":{"data":"@lt1","tags":{"x":"@lt1"}}}}"#,
            r#"{"push":{"channel":"a","pub":{"data":"@lt12"}}}"#,
            r#"{"push":{"channel":"a","pub":{"data":"@lt"#,
            r#"{"push":{"channel":"a","pub":{"info":"@lt1"}}}"#,
            r#"{"id":1,"publish":{}}"#,
            "{\"push\":{\"channel\":\"a\",\"join\":{}}}\n{\"push\":{\"channel\":\"a\",\"pub\":{\"data\":\"@lt1\"}}}",
            "",
        ] {
            assert_eq!(split(other), None, "{other}");
        }
    }

    #[test]
    fn pushed_text_is_found_wherever_its_field_stands() {
        // Push of channel `a`; the publication has data, then an offset, or the other way around.
        for publication in [&b"\x22\x06\"@lt1\"\x30\x07"[..], b"\x30\x07\x22\x06\"@lt1\"", b"\x22\x04@lt1"] {
            let (mut push, mut message) = (Vec::new(), Vec::new());
            put(2, b"a", &mut push);
            put(reply::PUSH_PUB, publication, &mut push);
            put(reply::PUSH, &push, &mut message);
            assert_eq!(pushed(&message), Ok(Some(&b"@lt1"[..])), "{publication:02x?}");
            let last = last_pushed(&message, &data_key(4), 4);
            assert_eq!(last, publication.ends_with(b"\"@lt1\"").then_some(&b"@lt1"[..]), "{publication:02x?}");
            for len in 0..message.len() {
                assert_eq!(last_pushed(&message[..len], &data_key(4), 4), None, "cut at {len}");
            }
            assert_eq!(last_pushed(&[&message[..], &[8, 1]].concat(), &data_key(4), 4), None, "more follows");
            assert_eq!(last_pushed(&message, &data_key(3), 3), None, "of another length");
            for len in 1..message.len() {
                assert_eq!(pushed(&message[..len]), Err(Malformed), "cut at {len}");
            }
        }
        assert_eq!(pushed(b"\x08\x01\x42\x00"), Ok(None));
        assert_eq!(pushed(b"\x22\x05\x12\x01a\x2a\x00"), Ok(None), "a join");
    }

    #[test]
    fn everything_that_is_said_has_a_length_that_is_counted() {
        for format in FORMATS {
            let size = 64;
            let (before, after) = wrapping(format, "lobby", size);
            let message = [&before[..], &vec![b'x'; size], &after].concat();
            let is_whole = match format {
                Format::Json => serde_json::from_slice::<serde_json::Value>(&message).is_ok(),
                Format::Protobuf => protobuf::delimited(&message).is_ok_and(|(_, rest)| rest.is_empty()),
            };
            assert!(is_whole, "{format:?}");
        }
    }
}
