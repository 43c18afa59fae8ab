//! A client protocol: from the first text after the handshake to the shape of a publication.
//!
//! | protocol | after the handshake | a message | what comes |
//! |---|---|---|---|
//! | `plain` | nothing | the record | lines, each a record: anything else is a fault |
//! | `numbered` | nothing; a line of the server says where it begins | the record | offset, time, record; other lines |
//! | `centrifuge` | connect and subscribe (client protocol v2, JSON) | a publish command | pushes, replies and pings |
//! | `custom` | `--hello` | `--publish` with `{record}` | whatever it is, records are looked for in each line |

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

/// The meaning of a line without a record.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Meaning {
    /// Nothing that matters here.
    Nothing,
    /// One of the answers that [`Protocol::answers`] waits for.
    Ready,
    /// As `Ready`; the client stands here.
    At(Start),
    /// Answer this at once.
    Reply(&'static str),
    /// The server refuses this client, for this reason.
    Refused(String),
}

/// Where a connection begins in the history of its channel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Start {
    /// The incarnation of the history, and the number of its newest message; absent if the channel keeps none.
    pub(crate) position: Option<(String, u64)>,
    /// Messages of the past that follow.
    pub(crate) follow: u64,
    /// Whether these are all that was missed; absent if the client did not ask.
    pub(crate) is_recovered: Option<bool>,
}

impl Start {
    /// Reads `position EPOCH:OFFSET N` or `position none 0`, followed by `recovered`, `incomplete` or nothing.
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.strip_prefix(" [throng] position ")?.split(' ');
        let position = match words.next()? {
            "none" => None,
            position => {
                let (epoch, offset) = position.split_once(':')?;
                Some((epoch.to_owned(), offset.parse().ok()?))
            }
        };
        let follow = words.next()?.parse().ok()?;
        let is_recovered = words.next().map(|word| word == "recovered");
        Some(Self { position, follow, is_recovered })
    }
}

impl Protocol {
    /// Whether the texts that are sent after the handshake contain the channel.
    pub(crate) fn names_channel(&self) -> bool {
        match self {
            Self::Plain | Self::Numbered => false,
            Self::Centrifuge => true,
            Self::Custom(custom) => custom.hello.iter().chain([&custom.publish]).any(|text| text.contains(CHANNEL)),
        }
    }

    /// Returns the subprotocol that clients offer in the handshake, if any.
    pub(crate) fn subprotocol(&self) -> Option<&str> {
        match self {
            Self::Plain | Self::Centrifuge => None,
            Self::Numbered => Some("throng.numbered"),
            Self::Custom(custom) => custom.subprotocol.as_deref(),
        }
    }

    /// Returns the text to send after the handshake, if any.
    pub(crate) fn hello(&self, channels: &[String]) -> Option<String> {
        match self {
            Self::Plain | Self::Numbered => None,
            Self::Centrifuge => {
                let connect = r#"{"id":1,"connect":{"name":"loadtest"}}"#.to_owned();
                let subscribe = channels
                    .iter()
                    .enumerate()
                    .map(|(index, channel)| format!(r#"{{"id":{},"subscribe":{{"channel":"{channel}"}}}}"#, index + 2));
                // In one message, as the SDK sends them.
                Some(std::iter::once(connect).chain(subscribe).collect::<Vec<_>>().join("\n"))
            }
            Self::Custom(custom) => {
                let channel = channels.first().map_or("", String::as_str);
                custom.hello.as_ref().map(|hello| hello.replace(CHANNEL, channel))
            }
        }
    }

    /// Lines with [`Meaning::Ready`] that have to come before a client is connected.
    pub(crate) const fn answers(&self, channels: usize) -> usize {
        match self {
            Self::Plain => 0,
            Self::Numbered => 1,
            Self::Centrifuge => 1 + channels,
            Self::Custom(custom) => custom.ready.is_some() as usize,
        }
    }

    /// Returns what goes before and after a record when it is published.
    pub(crate) fn wrapping(&self, channel: &str) -> (String, String) {
        let publish = match self {
            Self::Plain | Self::Numbered => RECORD.to_owned(),
            Self::Centrifuge => format!(r#"{{"id":1000,"publish":{{"channel":"{channel}","data":"{RECORD}"}}}}"#),
            Self::Custom(custom) => custom.publish.replace(CHANNEL, channel),
        };
        let (before, after) = publish.split_once(RECORD).unwrap_or((&publish, ""));
        (before.to_owned(), after.to_owned())
    }

    /// Returns the text right before a record in what comes, if records have to be looked for; nothing if every line is
    /// one.
    pub(crate) fn marker(&self) -> Option<&str> {
        match self {
            Self::Plain => None,
            Self::Numbered | Self::Centrifuge => Some(""),
            Self::Custom(custom) => Some(&custom.marker),
        }
    }

    /// Reads a line without a record.
    pub(crate) fn meaning(&self, line: &[u8]) -> Meaning {
        let has = |text: &str| memchr::memmem::find(line, text.as_bytes()).is_some();
        match self {
            Self::Plain => Meaning::Nothing,
            Self::Numbered => {
                let start = std::str::from_utf8(line).ok().and_then(Start::parse);
                start.map_or(Meaning::Nothing, Meaning::At)
            }
            Self::Centrifuge if line.trim_ascii() == b"{}" => Meaning::Reply("{}"),
            Self::Centrifuge if has(r#""error":"#) => {
                Meaning::Refused(String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned())
            }
            Self::Centrifuge if has(r#""connect":"#) || has(r#""subscribe":"#) => Meaning::Ready,
            Self::Custom(Custom { ready: Some(ready), .. }) if has(ready) => Meaning::Ready,
            Self::Centrifuge | Self::Custom(_) => Meaning::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn centrifuge_connects_and_subscribes_in_one_message() {
        let channels = ["a".to_owned(), "b".to_owned()];
        let hello = Protocol::Centrifuge.hello(&channels).unwrap();
        let commands: Vec<serde_json::Value> = hello.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(commands.len(), Protocol::Centrifuge.answers(2));
        assert_eq!(commands[0]["connect"]["name"], "loadtest");
        assert_eq!(commands[2]["subscribe"]["channel"], "b");
        assert!(commands.iter().all(|command| command["id"].as_u64() > Some(0)));
    }

    #[test]
    fn centrifuge_publication_is_json() {
        let (before, after) = Protocol::Centrifuge.wrapping("news");
        let command: serde_json::Value = serde_json::from_str(&format!("{before}@lt1...${after}")).unwrap();
        assert_eq!(command["publish"]["channel"], "news");
        assert_eq!(command["publish"]["data"], "@lt1...$");
    }

    #[test]
    fn centrifuge_lines_are_understood() {
        let meaning = |line: &str| Protocol::Centrifuge.meaning(line.as_bytes());
        assert_eq!(meaning("{}"), Meaning::Reply("{}"));
        assert_eq!(meaning(r#"{"id":1,"connect":{"client":"x","ping":25,"pong":true}}"#), Meaning::Ready);
        assert_eq!(meaning(r#"{"id":2,"subscribe":{}}"#), Meaning::Ready);
        assert_eq!(meaning(r#"{"id":9,"publish":{}}"#), Meaning::Nothing);
        let error = r#"{"id":2,"error":{"code":103,"message":"permission denied"}}"#;
        assert_eq!(meaning(error), Meaning::Refused(error.to_owned()));
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
        assert_eq!(protocol.hello(&["x".to_owned()]).as_deref(), Some("SUB x 1"));
        assert_eq!(protocol.wrapping("x"), ("PUB x 64 ".to_owned(), "!".to_owned()));
        assert_eq!((protocol.answers(1), protocol.meaning(b"+OK\r")), (1, Meaning::Ready));
    }
}
