//! A client protocol: from the first text after the handshake to the shape of a publication.
//!
//! | protocol | after the handshake | a message | what comes |
//! |---|---|---|---|
//! | `plain` | nothing | the record | lines, each a record: anything else is a fault |
//! | `numbered` | nothing; a line of the server says where it begins | the record | offset, time, record; other lines |
//! | `centrifuge`, `centrifuge-protobuf` | connect and subscribe | a publish command | pushes, replies and pings |
//! | `custom` | `--hello` | `--publish` with `{record}` | whatever it is, records are looked for in each line |

use super::centrifuge::{self, Format};
use super::meaning::{Meaning, Start};
use serde::{Deserialize, Serialize};

/// The placeholder of the channel in a URL, a hello and a publication.
pub(crate) const CHANNEL: &str = "{channel}";

/// The placeholder of the record in a publication.
pub(crate) const RECORD: &str = "{record}";

/// A client protocol.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Protocol {
    /// As the chat example of gorilla/websocket: every message to all clients, lines joined by newlines.
    #[default]
    Plain,
    /// As `plain`, with the subprotocol `throng.numbered`.
    Numbered,
    /// The Centrifuge client protocol, version 2, JSON: Centrifugo and its relatives.
    Centrifuge,
    /// The same in Protobuf.
    #[serde(rename = "centrifuge-protobuf")]
    CentrifugeProtobuf,
    /// Anything else that takes and gives text.
    Custom(Custom),
}

/// The texts of a custom protocol.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Custom {
    /// The subprotocol that every client offers, and that the server has to choose.
    pub(crate) subprotocol: Option<String>,
    /// Sent by every client after the handshake.
    pub(crate) hello: Option<String>,
    /// A client counts as connected once a line with this has come.
    pub(crate) ready: Option<String>,
    /// What a publisher sends, with the record in it.
    pub(crate) publish: String,
    /// Stands right before a record in what comes; records are found by their own start if this is empty.
    pub(crate) marker: String,
}

impl Protocol {
    /// Returns the format of the Centrifuge protocol, if it is that.
    pub(crate) const fn centrifuge(&self) -> Option<Format> {
        match self {
            Self::Centrifuge => Some(Format::Json),
            Self::CentrifugeProtobuf => Some(Format::Protobuf),
            Self::Plain | Self::Numbered | Self::Custom(_) => None,
        }
    }

    /// Returns the opcode of what clients send: text, or binary.
    pub(crate) const fn opcode(&self) -> u8 {
        if matches!(self, Self::CentrifugeProtobuf) { 2 } else { 1 }
    }

    /// Whether the texts that are sent after the handshake contain the channel.
    pub(crate) fn names_channel(&self) -> bool {
        match self {
            Self::Plain | Self::Numbered => false,
            Self::Centrifuge | Self::CentrifugeProtobuf => true,
            Self::Custom(custom) => custom.hello.iter().chain([&custom.publish]).any(|text| text.contains(CHANNEL)),
        }
    }

    /// Returns the subprotocol that clients offer in the handshake, if any.
    pub(crate) fn subprotocol(&self) -> Option<&str> {
        match self {
            Self::Plain | Self::Centrifuge => None,
            Self::Numbered => Some("throng.numbered"),
            Self::CentrifugeProtobuf => Some("centrifuge-protobuf"),
            Self::Custom(custom) => custom.subprotocol.as_deref(),
        }
    }

    /// Returns what to send after the handshake, if anything.
    pub(crate) fn hello(&self, channels: &[String]) -> Option<Vec<u8>> {
        if let Some(format) = self.centrifuge() {
            return Some(centrifuge::hello(format, channels));
        }
        let Self::Custom(custom) = self else { return None };
        let channel = channels.first().map_or("", String::as_str);
        custom.hello.as_ref().map(|hello| hello.replace(CHANNEL, channel).into())
    }

    /// Lines with [`Meaning::Ready`] that have to come before a client is connected.
    pub(crate) const fn answers(&self, channels: usize) -> usize {
        match self {
            Self::Plain => 0,
            Self::Numbered => 1,
            Self::Centrifuge | Self::CentrifugeProtobuf => 1 + channels,
            Self::Custom(custom) => custom.ready.is_some() as usize,
        }
    }

    /// Returns what goes before and after a record of `size` bytes when it is published.
    pub(crate) fn wrapping(&self, channel: &str, size: usize) -> (Vec<u8>, Vec<u8>) {
        if let Some(format) = self.centrifuge() {
            return centrifuge::wrapping(format, channel, size);
        }
        let Self::Custom(custom) = self else { return (Vec::new(), Vec::new()) };
        let publish = custom.publish.replace(CHANNEL, channel);
        let (before, after) = publish.split_once(RECORD).unwrap_or((&publish, ""));
        (before.into(), after.into())
    }

    /// Returns the text right before a record in what comes, if records have to be looked for in lines; nothing if
    /// every line is one.
    pub(crate) fn marker(&self) -> Option<&str> {
        match self {
            Self::Plain | Self::CentrifugeProtobuf => None,
            Self::Numbered | Self::Centrifuge => Some(""),
            Self::Custom(custom) => Some(&custom.marker),
        }
    }

    /// Reads a line, or a message, without a record.
    pub(crate) fn meaning(&self, line: &[u8]) -> Meaning {
        if let Some(format) = self.centrifuge() {
            return centrifuge::meaning(format, line);
        }
        match self {
            Self::Numbered => {
                let start = std::str::from_utf8(line).ok().and_then(Start::parse);
                start.map_or(Meaning::Nothing, Meaning::At)
            }
            Self::Custom(Custom { ready: Some(ready), .. })
                if memchr::memmem::find(line, ready.as_bytes()).is_some() =>
            {
                Meaning::Ready
            }
            _ => Meaning::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many as the commands that are sent at once.
    #[test]
    fn every_command_of_centrifuge_is_answered() {
        let channels = ["a".to_owned(), "b".to_owned()];
        let hello = Protocol::Centrifuge.hello(&channels).unwrap();
        assert_eq!(hello.split(|byte| *byte == b'\n').count(), Protocol::Centrifuge.answers(2));
        assert_eq!(Protocol::CentrifugeProtobuf.answers(2), 3);
    }

    #[test]
    fn position_of_a_numbered_connection_is_read() {
        let meaning = |line: &str| Protocol::Numbered.meaning(line.as_bytes());
        let at = |position: Option<(&str, u64)>, follow, is_recovered| {
            let position = position.map(|(epoch, offset)| (epoch.to_owned(), offset));
            Meaning::At(Start { position, follow, is_recovered })
        };
        assert_eq!(meaning(" [throng] position 8c1f:41 0"), at(Some(("8c1f", 41)), 0, None));
        assert_eq!(meaning(" [throng] position 8c1f:41 7 recovered"), at(Some(("8c1f", 41)), 7, Some(true)));
        assert_eq!(meaning(" [throng] position 8c1f:41 0 incomplete"), at(Some(("8c1f", 41)), 0, Some(false)));
        assert_eq!(meaning(" [throng] position none 0"), at(None, 0, None));
        assert_eq!(meaning(" [throng] here 3"), Meaning::Nothing);
        assert_eq!(meaning("42 1764320000123 hello"), Meaning::Nothing);
    }

    #[test]
    fn custom_texts_take_the_channel() {
        let custom = Custom {
            subprotocol: None,
            hello: Some("SUB {channel} 1".to_owned()),
            ready: Some("+OK".to_owned()),
            publish: "PUB {channel} 64 {record}!".to_owned(),
            marker: String::new(),
        };
        let protocol = Protocol::Custom(custom);
        assert_eq!(protocol.hello(&["x".to_owned()]).as_deref(), Some(&b"SUB x 1"[..]));
        assert_eq!(protocol.wrapping("x", 64), (b"PUB x 64 ".to_vec(), b"!".to_vec()));
        assert_eq!((protocol.answers(1), protocol.meaning(b"+OK\r")), (1, Meaning::Ready));
    }
}
