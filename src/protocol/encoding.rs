//! Encodings: how the connections of one protocol get publications and control messages as bytes.
//!
//! The hub knows what has to be said; only an encoding knows frames. A publication is encoded once per shard and
//! encoding, while it is copied into the log.

use super::centrifuge::{self, Chain, DisconnectCode, Format, Push, close, publication as push};
use super::channel_name::ChannelName;
use super::close::CloseReason;
use super::close_code::CloseCode;
use super::presence::PresenceEvent;
use super::publication::{Content, Publication};
use super::websocket::frame::{self, Head, Opcode};
use super::{chat, json};
use bytes::Bytes;
use std::io::{Cursor, Write};

/// Most bytes of one coalesced message: what the decoder of another hub, or a browser, takes by default.
pub const WINDOW_MAX: u64 = 64 * 1024;

/// How publications are laid out in a log, and how a range of them becomes wire bytes.
///
/// Publications are back to back in a log, so that any range of whole ones leaves in one write without a copy.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Encoding {
    /// Lines of text, each ended by `\n`: a range is the body of ONE text message without its last `\n`. The chat
    /// protocol; the chat example of gorilla/websocket joins waiting messages in the same way.
    #[default]
    Lines,
    /// The same, and each line begins with the offset of its publication and its time in milliseconds since 1970, a
    /// space after each.
    NumberedLines,
    /// Whole frames: a range is wire bytes already, and messages stay separate. The echo protocol.
    Frames,
    /// Pushes of the Centrifuge protocol. In JSON each is ended by `\n`, and a range is the body of one text message
    /// without its last `\n`; in Protobuf a length stands before each, and a range is the body of one binary message.
    Centrifuge(Format),
    /// The same, with publications as what has changed since the one before.
    CentrifugeDeltas(Format),
}

/// How a publication stands in a log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Encoded {
    /// As its data is.
    AsPublished,
    /// Some bytes in front of a body.
    Framed(Prefix, Bytes),
    /// A push: what stands before the data, the data, and what stands after it.
    Push(Vec<u8>, Bytes, &'static [u8]),
}

/// What stands in front of a body: a frame's head, or an offset and a time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Prefix {
    bytes: [u8; Self::BYTES_MAX],
    len: u8,
}

/// What the hub has to tell a connection besides publications.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Control<'a> {
    /// Is it there?
    Ping,
    /// The answer to its ping, with the same body.
    Pong(&'a [u8]),
    /// It will not get that many publications; with 0 it is only joins and leaves that it will not get.
    Missed(u64),
    /// It is being closed, with the code of the reason, or that of the operator.
    Close(CloseReason, Option<CloseCode>),
}

impl Encoding {
    /// The protocols, as labels of metrics.
    pub const PROTOCOLS: [&'static str; 5] =
        ["chat", "chat_numbered", "echo", "centrifuge_json", "centrifuge_protobuf"];

    /// Returns what every publication to a channel begins with: to be made once per log, for [`Encoding::encode`].
    pub fn start(self, channel: &ChannelName) -> Box<[u8]> {
        match self {
            Self::Centrifuge(format) | Self::CentrifugeDeltas(format) => push::start(format, channel.as_str()),
            Self::Lines | Self::NumberedLines | Self::Frames => Box::default(),
        }
    }

    /// Encodes a publication for a log. `start` is that of the channel, and `chain` that of the log: what its readers
    /// have of the publication before.
    ///
    /// # Hot path
    ///
    /// Once per publication, shard and encoding. A line for connections that get lines is left as it is.
    #[inline]
    pub fn encode(self, start: &[u8], publication: &Publication, chain: &mut Chain) -> Encoded {
        match (self, publication.payload.content) {
            (Self::Lines, Content::Line) => Encoded::AsPublished,
            _ => self.encode_anew(start, publication, chain),
        }
    }

    fn encode_anew(self, start: &[u8], publication: &Publication, chain: &mut Chain) -> Encoded {
        match self {
            Self::Lines => Encoded::Framed(Prefix::EMPTY, as_line(publication)),
            Self::NumberedLines => Encoded::Framed(Prefix::number(publication), as_line(publication)),
            Self::Frames => as_frame(publication),
            Self::Centrifuge(format) => {
                let (prefix, data, suffix) = push::encode(format, start, publication);
                Encoded::Push(prefix, data, suffix)
            }
            Self::CentrifugeDeltas(format) => {
                let (prefix, data, suffix) = push::encode_delta(format, start, publication, chain);
                Encoded::Push(prefix, data, suffix)
            }
        }
    }

    /// Returns the frame head for a range of `bytes` of a log, and the bytes of the range that follow it.
    pub fn frame(self, bytes: usize) -> (Head, usize) {
        match self {
            Self::Lines
            | Self::NumberedLines
            | Self::Centrifuge(Format::Json)
            | Self::CentrifugeDeltas(Format::Json) => (Head::new(Opcode::Text, bytes - 1), bytes - 1),
            Self::Frames => (Head::EMPTY, bytes),
            Self::Centrifuge(Format::Protobuf) | Self::CentrifugeDeltas(Format::Protobuf) => {
                (Head::new(Opcode::Binary, bytes), bytes)
            }
        }
    }

    /// Encodes what the hub has to tell; nothing where the protocol has no room for it.
    pub fn control(self, control: Control<'_>) -> Bytes {
        match (self, control) {
            (Self::Centrifuge(format) | Self::CentrifugeDeltas(format), Control::Ping) => close::ping(format),
            (Self::Centrifuge(_) | Self::CentrifugeDeltas(_), Control::Close(reason, code)) => {
                close::frame(reason, code)
            }
            (_, Control::Ping) => frame::ping(),
            (_, Control::Pong(body)) => frame::pong(body),
            (_, Control::Close(reason, code)) => frame::close(reason, code),
            (Self::Lines | Self::NumberedLines, Control::Missed(publications)) => chat::skipped(publications),
            (Self::Frames | Self::Centrifuge(_) | Self::CentrifugeDeltas(_), Control::Missed(_)) => Bytes::new(),
        }
    }

    /// Encodes for a log how many subscribers there are; `None` where the protocol has no room for it.
    pub fn occupancy(self, subscribers: u32) -> Option<Bytes> {
        self.tells_occupancy().then(|| chat::occupancy(subscribers))
    }

    /// Returns whether a connection can be told how many subscribers there are.
    pub fn tells_occupancy(self) -> bool {
        self == Self::NumberedLines
    }

    /// Encodes for a log of the channel of that name that a client has joined or left, and appends it to `out`; nothing
    /// where the protocol has no room for it.
    pub fn presence_event(self, channel: &str, event: &PresenceEvent, out: &mut Vec<u8>) {
        match self {
            Self::NumberedLines => chat::presence_event(event, out),
            Self::Centrifuge(format) | Self::CentrifugeDeltas(format) => {
                centrifuge::push(format, &Push::presence(channel, event), out);
            }
            Self::Lines | Self::Frames => {}
        }
    }

    /// Returns whether a connection can be told who joins and leaves.
    pub fn tells_presence(self) -> bool {
        self == Self::NumberedLines || self.format().is_some()
    }

    /// Returns whether a connection can be told what it missed. The echo protocol returns the client's own bytes only.
    pub fn tells_missed(self) -> bool {
        matches!(self, Self::Lines | Self::NumberedLines)
    }

    /// Encodes for a log that publications were lost; `None` where the protocol has no room for it.
    pub fn lost(self) -> Option<Bytes> {
        self.tells_missed().then(chat::lost)
    }

    /// Returns the index of its protocol in [`Encoding::PROTOCOLS`].
    pub fn protocol(self) -> usize {
        match self {
            Self::Lines => 0,
            Self::NumberedLines => 1,
            Self::Frames => 2,
            Self::Centrifuge(Format::Json) | Self::CentrifugeDeltas(Format::Json) => 3,
            Self::Centrifuge(Format::Protobuf) | Self::CentrifugeDeltas(Format::Protobuf) => 4,
        }
    }

    /// Returns whether a connection gets nothing, and no ping either, until its client has connected by the protocol.
    /// SDKs do not answer pings before.
    pub fn waits_for_client(self) -> bool {
        self.format().is_some()
    }

    /// Returns why a connection is closed that answers a ping that was not sent; `None` if it is not.
    pub fn stray_pong(self) -> Option<CloseReason> {
        self.format().map(|_| CloseReason::Centrifuge(DisconnectCode::BadRequest))
    }

    /// Returns whether a connection may miss something and go on. A client of the Centrifuge protocol cannot be told:
    /// it connects again, and gets what it missed.
    pub fn may_skip(self) -> bool {
        self.format().is_none()
    }

    /// Returns the format of the Centrifuge protocol; `None` for other protocols.
    fn format(self) -> Option<Format> {
        match self {
            Self::Centrifuge(format) | Self::CentrifugeDeltas(format) => Some(format),
            Self::Lines | Self::NumberedLines | Self::Frames => None,
        }
    }
}

/// Returns the data as one line. What is not text cannot be shown, which is said in its place.
fn as_line(publication: &Publication) -> Bytes {
    let payload = &publication.payload;
    match payload.content {
        Content::Line => payload.data.clone(),
        Content::Json => json::line(&payload.data),
        Content::Text | Content::Binary => {
            chat::line(&payload.data).unwrap_or_else(|_| chat::not_text(payload.data.len()))
        }
    }
}

fn as_frame(publication: &Publication) -> Encoded {
    let data = &publication.payload.data;
    let (opcode, data) = match publication.payload.content {
        Content::Line => (Opcode::Text, data.slice(..data.len() - 1)),
        Content::Text | Content::Json => (Opcode::Text, data.clone()),
        Content::Binary => (Opcode::Binary, data.clone()),
    };
    Encoded::Framed(Prefix::head(Head::new(opcode, data.len())), data)
}

impl Prefix {
    /// The digits of two of the largest numbers, and a space after each.
    const BYTES_MAX: usize = 42;

    const EMPTY: Self = Self { bytes: [0; Self::BYTES_MAX], len: 0 };

    fn new(write: impl FnOnce(&mut Cursor<&mut [u8]>) -> std::io::Result<()>) -> Self {
        let mut prefix = Self::EMPTY;
        let mut cursor = Cursor::new(&mut prefix.bytes[..]);
        let written = write(&mut cursor);
        debug_assert!(written.is_ok(), "every prefix fits");
        prefix.len = u8::try_from(cursor.position()).unwrap_or(0);
        prefix
    }

    fn number(publication: &Publication) -> Self {
        Self::new(|cursor| write!(cursor, "{} {} ", publication.offset, publication.at / 1000))
    }

    fn head(head: Head) -> Self {
        Self::new(|cursor| cursor.write_all(head.as_slice()))
    }

    /// Returns the bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::publication::Payload;

    fn encoded(encoding: Encoding, offset: u64, payload: Payload) -> Vec<u8> {
        let publication = Publication { offset, at: 5_999, payload };
        let start = encoding.start(&ChannelName::parse("news").unwrap());
        match encoding.encode(&start, &publication, &mut Chain::default()) {
            Encoded::AsPublished => publication.payload.data.to_vec(),
            Encoded::Framed(prefix, body) => [prefix.as_slice(), &body].concat(),
            Encoded::Push(prefix, data, suffix) => [&prefix, &data[..], suffix].concat(),
        }
    }

    fn payload(content: Content, data: &'static [u8]) -> Payload {
        Payload::new(content, Bytes::from_static(data))
    }

    /// Each protocol gets a publication in its own form, whatever its publisher speaks.
    #[test]
    fn every_content_has_a_form_in_every_encoding() {
        let line = Payload::line(b"hello").unwrap();
        for (encoding, payload, expected) in [
            (Encoding::Lines, line.clone(), &b"hello\n"[..]),
            (Encoding::NumberedLines, line.clone(), b"7 5 hello\n"),
            (Encoding::Frames, line, b"\x81\x05hello"),
            (Encoding::Lines, payload(Content::Text, b" two\nlines "), b"two lines\n"),
            (Encoding::NumberedLines, payload(Content::Text, b"two\nlines"), b"7 5 two lines\n"),
            (Encoding::Frames, payload(Content::Text, b" two\nlines "), b"\x81\x0b two\nlines "),
            (Encoding::Frames, payload(Content::Binary, b"\xff"), b"\x82\x01\xff"),
            (Encoding::Lines, payload(Content::Json, br#""two\nlines""#), b"two lines\n"),
            (Encoding::Lines, payload(Content::Json, br#"{"a":"b c"}"#), b"{\"a\":\"b c\"}\n"),
            (Encoding::NumberedLines, payload(Content::Json, b"[1,2]"), b"7 5 [1,2]\n"),
            (Encoding::Frames, payload(Content::Json, br#""x""#), b"\x81\x03\"x\""),
            (Encoding::Lines, payload(Content::Binary, b"text"), b"text\n"),
            (Encoding::Lines, payload(Content::Binary, b"\xff\0"), b" [throng] 2 bytes left out: they are not text\n"),
        ] {
            let text = String::from_utf8_lossy(expected);
            assert_eq!(encoded(encoding, 7, payload), expected, "{encoding:?} {text:?}");
        }
        for (payload, in_json, in_protobuf) in [
            (Payload::line(b"hello").unwrap(), r#""hello""#, &b"\"hello\""[..]),
            (payload(Content::Text, b"two\nlines"), r#""two\nlines""#, b"\"two\\nlines\""),
            (payload(Content::Json, b"[1,2]"), "[1,2]", b"[1,2]"),
            (payload(Content::Binary, b"\xff"), r#"{"b64data":"/w=="}"#, b"\xff"),
        ] {
            let line = format!("{{\"push\":{{\"channel\":\"news\",\"pub\":{{\"offset\":7,\"data\":{in_json}}}}}}}\n");
            assert_eq!(encoded(Encoding::Centrifuge(Format::Json), 7, payload.clone()), line.as_bytes());
            let data = u8::try_from(in_protobuf.len()).unwrap();
            let lengths =
                [data + 14, b'\"', data + 12, 0x12, 4, b'n', b'e', b'w', b's', b'\"', data + 4, b'0', 7, b'\"', data];
            assert_eq!(encoded(Encoding::Centrifuge(Format::Protobuf), 7, payload), [&lengths, in_protobuf].concat());
        }
    }

    /// In the log of those who asked for deltas each publication is made of the last, until the chain begins anew.
    #[test]
    fn deltas_are_pushes_of_what_has_changed() {
        let encoding = Encoding::CentrifugeDeltas(Format::Json);
        let (start, mut chain) = (encoding.start(&ChannelName::parse("news").unwrap()), Chain::default());
        let mut push = |offset, data, is_newcomer: bool| {
            if is_newcomer {
                chain.restart();
            }
            let publication = Publication { offset, at: 0, payload: payload(Content::Json, data) };
            match encoding.encode(&start, &publication, &mut chain) {
                Encoded::Push(prefix, data, suffix) => {
                    String::from_utf8([&prefix, &data[..], suffix].concat()).unwrap()
                }
                other => panic!("{other:?}"),
            }
        };
        let [one, two] = [&br#"{"score":[0,0],"minute":44}"#[..], br#"{"score":[1,0],"minute":44}"#];
        let line = |publication: &str| format!("{{\"push\":{{\"channel\":\"news\",\"pub\":{publication}}}}}\n");
        let whole = r#"{"offset":7,"data":"{\"score\":[0,0],\"minute\":44}"}"#;
        assert_eq!(push(7, one, true), line(whole));
        let changed = push(8, two, false);
        assert!(
            changed.starts_with(r#"{"push":{"channel":"news","pub":{"offset":8,"delta":true,"data":"R\n"#),
            "{changed}"
        );
        assert_eq!(push(7, one, true), line(whole));
    }

    /// A range leaves as it stands: one message, of which JSON has no last newline.
    #[test]
    fn any_range_of_whole_pushes_is_one_message() {
        for (format, opcode, left) in [(Format::Json, 0x81, 99), (Format::Protobuf, 0x82, 100)] {
            let (head, body) = Encoding::Centrifuge(format).frame(100);
            assert_eq!((head.as_slice(), body), (&[opcode, left][..], usize::from(left)), "{format:?}");
        }
    }

    #[test]
    fn largest_numbers_and_largest_head_fit_a_prefix() {
        let publication = Publication { offset: u64::MAX, at: u64::MAX, payload: payload(Content::Text, b"") };
        assert_eq!(Prefix::number(&publication).as_slice(), b"18446744073709551615 18446744073709551 ");
        assert_eq!(Prefix::head(Head::new(Opcode::Text, usize::MAX)).as_slice().len(), 10);
    }
}
