//! The messages between hubs: a heartbeat, an ask, and the parts of an answer.
//!
//! A newer hub may send fields and asks that this one does not know. Unknown fields are skipped; an ask that is not
//! understood is answered without a body, so that the asking hub names this one as missing and does not wait for it.

use crate::protocol::Profile;
use bytes::Bytes;
use prost::Message;
use serde_json::value::RawValue;
use std::sync::Arc;

/// Most bytes of one message: a quarter of what NATS servers take by default.
pub(super) const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// Most parts of one answer, so that no hub sends more than 8 MiB for one ask.
pub(super) const PARTS_MAX: usize = 32;

/// Longest name, version or address that a heartbeat may have.
const TEXT_BYTES_MAX: usize = 255;

/// Most addresses of a hub.
const ADDRESSES_MAX: usize = 8;

/// How far a hub is on its way to the end.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, prost::Enumeration)]
#[repr(i32)]
pub enum PeerStage {
    /// Everything is served.
    Serving = 0,
    /// Balancers are told to use other hubs.
    NotReady = 1,
    /// Connections are being closed, and new ones are refused.
    Draining = 2,
    /// Every connection has ended.
    Ending = 3,
}

impl PeerStage {
    /// Returns the word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::NotReady => "not ready",
            Self::Draining => "draining",
            Self::Ending => "ending",
        }
    }
}

/// What a hub tells of itself, every two seconds.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Heartbeat {
    #[prost(fixed64, tag = "1")]
    pub(super) hub: u64,
    /// For people.
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(string, tag = "3")]
    pub(super) version: String,
    /// Where clients reach it.
    #[prost(string, repeated, tag = "4")]
    pub(super) addresses: Vec<String>,
    #[prost(uint64, tag = "5")]
    pub(super) connections: u64,
    #[prost(uint64, tag = "6")]
    pub(super) connections_max: u64,
    #[prost(uint64, tag = "7")]
    pub(super) channels: u64,
    #[prost(enumeration = "PeerStage", tag = "8")]
    pub(super) stage: i32,
    /// Seconds since its start.
    #[prost(uint64, tag = "9")]
    pub(super) uptime: u64,
    /// It is gone: nothing is to be expected from it any more.
    #[prost(bool, tag = "10")]
    pub(super) is_last: bool,
}

/// A request to the other hubs. The answers go to the inbox of the message.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Ask {
    /// The hub that asks.
    #[prost(fixed64, tag = "1")]
    pub(super) hub: u64,
    /// The only hub that is asked; 0 for all.
    #[prost(fixed64, tag = "2")]
    pub(super) to: u64,
    /// How long it waits, in milliseconds.
    #[prost(uint32, tag = "3")]
    pub(super) wait_millis: u32,
    #[prost(oneof = "Question", tags = "4, 5, 6, 7, 8")]
    pub(super) question: Option<Question>,
}

/// What is asked.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Question {
    /// Who is in a channel.
    #[prost(string, tag = "4")]
    Presence(String),
    /// How many are in a channel.
    #[prost(string, tag = "5")]
    PresenceStats(String),
    /// Which channels have subscribers.
    #[prost(message, tag = "6")]
    Channels(ChannelsAsk),
    /// Do what a backend asks for.
    #[prost(message, tag = "7")]
    Command(PeerCommand),
    /// How many are in these channels.
    #[prost(message, tag = "8")]
    Digests(DigestsAsk),
}

/// Which channels are listed.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ChannelsAsk {
    #[prost(string, tag = "1")]
    pub(super) pattern: String,
    /// More than these are not sent.
    #[prost(uint32, tag = "2")]
    pub(super) limit: u32,
}

/// A method of the API, and the body of its request.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PeerCommand {
    /// Its name.
    #[prost(string, tag = "1")]
    pub method: String,
    /// The body as the backend sent it.
    #[prost(bytes = "bytes", tag = "2")]
    pub body: Bytes,
}

/// Channels that have subscribers on the asking hub that are told of others.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct DigestsAsk {
    #[prost(message, repeated, tag = "1")]
    pub(super) channels: Vec<ToldChannel>,
}

/// A channel, and what its subscribers are told.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ToldChannel {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    /// Also who joins and leaves, not only how many there are.
    #[prost(bool, tag = "2")]
    pub(super) has_events: bool,
}

/// A part of an answer.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Answer {
    /// The hub that answers.
    #[prost(fixed64, tag = "1")]
    pub(super) hub: u64,
    /// Number of the part, from 0.
    #[prost(uint32, tag = "2")]
    pub(super) part: u32,
    #[prost(bool, tag = "3")]
    pub(super) is_last: bool,
    /// Items that are not in the answer because it has too many.
    #[prost(uint64, tag = "4")]
    pub(super) omitted: u64,
    #[prost(oneof = "Body", tags = "5, 6, 7, 8, 9")]
    pub(super) body: Option<Body>,
}

/// What is answered.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Body {
    #[prost(message, tag = "5")]
    Members(MemberList),
    #[prost(message, tag = "6")]
    Users(UserList),
    #[prost(message, tag = "7")]
    Channels(ChannelList),
    #[prost(message, tag = "8")]
    Outcome(Outcome),
    #[prost(message, tag = "9")]
    Digests(DigestList),
}

/// Who is in a channel.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MemberList {
    #[prost(message, repeated, tag = "1")]
    pub(super) members: Vec<Member>,
    /// Subscribers of which nothing is known.
    #[prost(uint32, tag = "2")]
    pub(super) unknown: u32,
}

/// A client in a channel.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Member {
    #[prost(string, tag = "1")]
    pub(super) client: String,
    #[prost(string, optional, tag = "2")]
    pub(super) user: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub(super) conn_info: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub(super) chan_info: Option<String>,
}

/// How many are in a channel.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct UserList {
    #[prost(uint32, tag = "1")]
    pub(super) clients: u32,
    /// A hash for each user, so that one with clients on several hubs counts once.
    #[prost(fixed64, repeated, tag = "2")]
    pub(super) users: Vec<u64>,
}

/// Channels with subscribers.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ChannelList {
    #[prost(message, repeated, tag = "1")]
    pub(super) channels: Vec<ChannelCount>,
}

/// A channel, and its subscribers on one hub.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ChannelCount {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(uint32, tag = "2")]
    pub(super) clients: u32,
}

/// What came of a command on one hub.
#[derive(Clone, Eq, PartialEq, prost::Message)]
pub struct Outcome {
    /// Connections that it was done to.
    #[prost(uint64, tag = "1")]
    pub done: u64,
    /// Code of the API's error; 0 for none.
    #[prost(uint32, tag = "2")]
    pub code: u32,
    /// Text of the error.
    #[prost(string, tag = "3")]
    pub text: String,
}

/// The channels of an ask that have subscribers.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct DigestList {
    #[prost(message, repeated, tag = "1")]
    pub(super) digests: Vec<Digest>,
}

/// Who is in a channel on one hub, as a count and a sum over their ids.
#[derive(Clone, Eq, PartialEq, prost::Message)]
pub(super) struct Digest {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(uint32, tag = "2")]
    pub(super) clients: u32,
    /// Equal for equal sets of clients; 0 where only the count was asked for.
    #[prost(fixed64, tag = "3")]
    pub(super) members: u64,
}

impl Heartbeat {
    /// Reads one of a peer; `None` if it is not one, or if something in it is too long.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let beat: Self = read(bytes)?;
        let is_short = |text: &String| text.len() <= TEXT_BYTES_MAX;
        let has_bounds = beat.hub != 0
            && beat.addresses.len() <= ADDRESSES_MAX
            && beat.addresses.iter().chain([&beat.name, &beat.version]).all(is_short);
        has_bounds.then_some(beat)
    }

    /// Shortens what is too long for peers.
    pub(super) fn shortened(mut self) -> Self {
        self.addresses.truncate(ADDRESSES_MAX);
        for text in self.addresses.iter_mut().chain([&mut self.name, &mut self.version]) {
            let end = (0..=TEXT_BYTES_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(end);
        }
        self
    }
}

impl Member {
    /// Returns a client as others are told of it.
    pub(super) fn new(client: String, info: &Profile) -> Self {
        let owned = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        Self { client, user: owned(&info.user), conn_info: owned(&info.conn_info), chan_info: owned(&info.chan_info) }
    }

    /// Returns what is known of it. What is not JSON is left out, since it would break the lines of clients.
    pub(super) fn info(&self) -> Option<Arc<Profile>> {
        let json = |text: &Option<String>| {
            let text = text.as_deref().filter(|text| serde_json::from_str::<&RawValue>(text).is_ok());
            text.map(Arc::from)
        };
        let user = self.user.as_deref().filter(|user| !user.is_empty()).map(Arc::from);
        let info = Profile { user, conn_info: json(&self.conn_info), chan_info: json(&self.chan_info) };
        (info != Profile::ANONYMOUS).then(|| Arc::new(info))
    }
}

/// Reads a message of a peer; `None` if it is not one, or too long.
pub(super) fn read<T: Message + Default>(bytes: &[u8]) -> Option<T> {
    (bytes.len() <= MESSAGE_BYTES_MAX).then(|| T::decode(bytes).ok()).flatten()
}

/// Writes a message.
pub(super) fn write<T: Message>(message: &T) -> Bytes {
    message.encode_to_vec().into()
}

/// Returns the stage that a heartbeat names; one that is not known here is that of a hub that takes no clients.
pub(super) fn stage(beat: &Heartbeat) -> PeerStage {
    PeerStage::try_from(beat.stage).unwrap_or(PeerStage::NotReady)
}

/// Splits items into parts that fit into messages, and returns how many of them do not fit into any.
pub(super) fn split<T: Message>(items: Vec<T>) -> (Vec<Vec<T>>, u64) {
    // Around the items: ids, lengths, numbers.
    const ROOM: usize = MESSAGE_BYTES_MAX - 256;
    let (mut parts, mut bytes, mut omitted) = (vec![Vec::new()], 0, 0);
    for item in items {
        let size = item.encoded_len() + 4;
        if bytes + size > ROOM && parts.len() < PARTS_MAX && size <= ROOM {
            parts.push(Vec::new());
            bytes = 0;
        }
        match parts.last_mut() {
            Some(last) if bytes + size <= ROOM => {
                last.push(item);
                bytes += size;
            }
            _ => omitted += 1,
        }
    }
    (parts, omitted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(client: usize, info: usize) -> Member {
        Member {
            client: format!("00000000000000aa-0/{client}.0"),
            user: Some("42".to_owned()),
            conn_info: Some(format!("\"{}\"", "x".repeat(info))),
            chan_info: None,
        }
    }

    #[test]
    fn messages_come_back_as_they_were_and_others_are_refused() {
        let beat = Heartbeat { hub: 7, name: "a".to_owned(), connections: 3, stage: 2, ..Heartbeat::default() };
        let bytes = write(&beat);
        assert_eq!(Heartbeat::read(&bytes), Some(beat.clone()));
        assert_eq!(stage(&beat), PeerStage::Draining);
        assert_eq!(stage(&Heartbeat { stage: 99, ..beat.clone() }), PeerStage::NotReady);
        assert_eq!(Heartbeat::read(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Heartbeat::read(b""), None, "a hub has an id");
        let long = Heartbeat { name: "n".repeat(256), ..beat.clone() };
        assert_eq!(Heartbeat::read(&write(&long)), None);
        assert_eq!(Heartbeat::read(&write(&long.shortened())).unwrap().name, "n".repeat(255));
        let many = Heartbeat { addresses: vec!["a".to_owned(); 9], ..beat };
        assert_eq!(Heartbeat::read(&write(&many)), None);
        assert_eq!(read::<Answer>(&vec![0; MESSAGE_BYTES_MAX + 1]), None);
    }

    /// A newer hub may ask what this one does not know.
    #[test]
    fn ask_of_a_newer_hub_is_read_without_its_question() {
        let mut bytes = write(&Ask { hub: 7, ..Ask::default() }).to_vec();
        // Field 100, a text.
        bytes.extend([0xa2, 0x06, 1, b'x']);
        let ask: Ask = read(&bytes).unwrap();
        assert_eq!((ask.hub, ask.question), (7, None));
    }

    #[test]
    fn long_answer_is_split_into_parts_that_fit_and_the_rest_is_counted() {
        let all: Vec<_> = (0..3000).map(|client| member(client, 200)).collect();
        let (parts, omitted) = split(all.clone());
        assert!(parts.len() > 2 && omitted == 0, "{} parts, {omitted} omitted", parts.len());
        for part in &parts {
            let list = Body::Members(MemberList { members: part.clone(), unknown: 0 });
            let bytes = write(&Answer { hub: u64::MAX, body: Some(list), ..Answer::default() });
            assert!(bytes.len() <= MESSAGE_BYTES_MAX, "{} bytes", bytes.len());
        }
        assert_eq!(parts.concat(), all);

        let large: Vec<_> = (0..200).map(|client| member(client, 100_000)).collect();
        let (parts, omitted) = split(large);
        let sent: usize = parts.iter().map(Vec::len).sum();
        assert_eq!((parts.len(), sent, omitted), (PARTS_MAX, 2 * PARTS_MAX, 200 - 2 * PARTS_MAX as u64));

        let (parts, omitted) = split(vec![member(0, MESSAGE_BYTES_MAX), member(1, 10)]);
        assert_eq!((parts.concat(), omitted), (vec![member(1, 10)], 1), "one that is too large hides no other");
        assert_eq!(split::<Member>(Vec::new()), (vec![Vec::new()], 0), "nothing is an answer too");
    }

    /// What a peer says of a client goes to other clients as it is.
    #[test]
    fn what_is_known_of_a_client_is_json_or_left_out() {
        let info = Profile { user: Some("42".into()), conn_info: Some("{\"a\":1}".into()), chan_info: None };
        assert_eq!(Member::new("c".to_owned(), &info).info().as_deref(), Some(&info));
        let broken = Member { conn_info: Some("{\"a\":".to_owned()), ..Member::new("c".to_owned(), &info) };
        assert_eq!(broken.info().as_deref(), Some(&Profile { conn_info: None, ..info }));
        assert_eq!(Member { client: "c".to_owned(), ..Member::default() }.info(), None);
    }
}
