//! A backlog: what a subscriber gets of a channel's past, as bytes for the wire.

use super::centrifuge::Chain;
use super::channel_name::ChannelName;
use super::chat;
use super::encoding::{Encoded, Encoding, WINDOW_MAX};
use super::position::Start;
use super::publication::Publication;
use bytes::Bytes;

/// What a subscriber gets first.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Backlog {
    /// Whole frames.
    pub wire: Bytes,
    /// Number of publications in it.
    pub publications: usize,
}

impl Encoding {
    /// Encodes what a subscriber gets first: where it begins, if the encoding tells that, and publications.
    ///
    /// They are joined to messages as publications of a log are; with `is_split` each is a message of its own.
    pub fn backlog(
        self,
        channel: &ChannelName,
        start: Start,
        publications: impl Iterator<Item = Publication>,
        is_split: bool,
    ) -> Backlog {
        let (channel, mut chain) = (self.start(channel), Chain::default());
        let mut wire = Frames { encoding: self, is_split, message: Vec::new(), wire: Vec::new() };
        if self == Self::NumberedLines {
            wire.add(&[&chat::position(start)]);
        }
        for publication in publications {
            match self.encode(&channel, &publication, &mut chain) {
                Encoded::AsPublished => wire.add(&[&publication.payload.data]),
                Encoded::Framed(prefix, body) => wire.add(&[prefix.as_slice(), &body]),
                Encoded::Push(prefix, data, suffix) => wire.add(&[&prefix, &data, suffix]),
            }
        }
        wire.end_message();
        Backlog { wire: wire.wire.into(), publications: start.publications }
    }
}

/// Messages under way.
struct Frames {
    encoding: Encoding,
    is_split: bool,
    message: Vec<u8>,
    wire: Vec<u8>,
}

impl Frames {
    fn add(&mut self, parts: &[&[u8]]) {
        let len = self.message.len() + parts.iter().map(|part| part.len()).sum::<usize>();
        if self.is_split || len as u64 > WINDOW_MAX {
            self.end_message();
        }
        parts.iter().for_each(|part| self.message.extend_from_slice(part));
    }

    fn end_message(&mut self) {
        if !self.message.is_empty() {
            let (head, body) = self.encoding.frame(self.message.len());
            self.wire.extend_from_slice(head.as_slice());
            self.wire.extend_from_slice(&self.message[..body]);
            self.message.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::centrifuge::Format;
    use crate::protocol::position::{Epoch, Position};
    use crate::protocol::publication::Payload;

    fn start(publications: usize) -> Start {
        let position = Some(Position { epoch: Epoch::new(1), offset: 3 });
        Start { position, publications, is_recovered: Some(true) }
    }

    fn lobby() -> ChannelName {
        ChannelName::parse("lobby").unwrap()
    }

    fn lines(lines: &[&str]) -> impl Iterator<Item = Publication> {
        let lines: Vec<_> = lines.iter().map(|line| Payload::line(line.as_bytes()).unwrap()).collect();
        (1..).zip(lines).map(|(offset, payload)| Publication { offset, at: 0, payload })
    }

    #[test]
    fn lines_are_joined_to_one_message_unless_they_are_asked_for_one_by_one() {
        let joined = Encoding::Lines.backlog(&lobby(), start(2), lines(&["a", "bc"]), false);
        assert_eq!(joined, Backlog { wire: b"\x81\x04a\nbc"[..].into(), publications: 2 });
        let split = Encoding::Lines.backlog(&lobby(), start(2), lines(&["a", "bc"]), true);
        assert_eq!(split, Backlog { wire: b"\x81\x01a\x81\x02bc"[..].into(), publications: 2 });
    }

    #[test]
    fn numbered_lines_begin_with_the_position() {
        let wire = Encoding::NumberedLines.backlog(&lobby(), start(1), lines(&["a"]), false).wire;
        assert_eq!(&wire[2..], b" [throng] position 0000000000000001:3 1 recovered\n1 0 a");
        let start = Start { position: None, publications: 0, is_recovered: None };
        assert_eq!(
            &Encoding::NumberedLines.backlog(&lobby(), start, lines(&[]), false).wire[2..],
            b" [throng] position none 0"
        );
    }

    #[test]
    fn pushes_name_their_channel() {
        let wire = Encoding::Centrifuge(Format::Json).backlog(&lobby(), start(2), lines(&["a", "b"]), false).wire;
        let push =
            |offset, data| format!(r#"{{"push":{{"channel":"lobby","pub":{{"offset":{offset},"data":{data}}}}}}}"#);
        let body = [push(1, r#""a""#), push(2, r#""b""#)].join("\n");
        assert_eq!(wire, [&[0x81, u8::try_from(body.len()).unwrap()], body.as_bytes()].concat());
    }

    /// What a client takes by default.
    #[test]
    fn no_message_exceeds_what_a_log_joins() {
        let long = "x".repeat(40_000);
        let wire = Encoding::Lines.backlog(&lobby(), start(3), lines(&[&long, &long, "y"]), false).wire;
        assert_eq!(wire.len(), 4 + 40_000 + 4 + 40_000 + 2);
    }

    #[test]
    fn nothing_is_sent_when_there_is_nothing() {
        assert_eq!(Encoding::Lines.backlog(&lobby(), start(0), lines(&[]), false), Backlog::default());
        assert_eq!(Encoding::Frames.backlog(&lobby(), start(0), lines(&[]), true), Backlog::default());
    }
}
