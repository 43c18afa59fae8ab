//! The envelope: how a publication is written in the log of its partition, and what else is written there.
//!
//! Hubs of different versions read each other's: a field has its number for ever, and a kind that is not known is
//! skipped.

use crate::protocol::Payload;
use crate::protocol::publication::{ClientInfo, Content, Details};
use bytes::Bytes;
use prost::Message;
use std::sync::Arc;

/// What an entry of a log says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Entry {
    /// A publication, with the time when it arrived at its hub in microseconds since 1970.
    Publication {
        /// The time.
        at: u64,
        /// What was published.
        payload: Payload,
    },
    /// Everything before it in the channel is to be forgotten.
    HistoryRemoved,
    /// Nothing for a channel: a beacon, or what a newer hub has written.
    Other,
}

const PUBLICATION: u32 = 0;
const BEACON: u32 = 1;
const HISTORY_REMOVED: u32 = 2;

#[derive(Clone, PartialEq, Message)]
struct Wire {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(uint64, tag = "2")]
    at: u64,
    #[prost(uint32, tag = "3")]
    content: u32,
    #[prost(bytes = "bytes", tag = "4")]
    data: Bytes,
    #[prost(message, repeated, tag = "5")]
    tags: Vec<Tag>,
    #[prost(message, optional, tag = "6")]
    info: Option<Info>,
    /// Whether there are details at all.
    #[prost(bool, tag = "7")]
    has_details: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Tag {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Info {
    #[prost(string, tag = "1")]
    user: String,
    #[prost(string, tag = "2")]
    client: String,
    #[prost(bytes = "bytes", optional, tag = "3")]
    conn_info: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    chan_info: Option<Bytes>,
}

/// Writes a publication that arrived at this time.
pub fn publication(at: u64, payload: &Payload) -> Bytes {
    let details = payload.details.as_deref();
    let wire = Wire {
        kind: PUBLICATION,
        at,
        content: content(payload.content),
        data: payload.data.clone(),
        tags: details.map(tags).unwrap_or_default(),
        info: details.and_then(|details| details.info.as_deref()).map(info),
        has_details: details.is_some(),
    };
    wire.encode_to_vec().into()
}

/// Writes a beacon.
pub fn beacon() -> Bytes {
    Wire { kind: BEACON, ..Wire::default() }.encode_to_vec().into()
}

/// Writes that everything before it in the channel is to be forgotten.
pub fn history_removed() -> Bytes {
    Wire { kind: HISTORY_REMOVED, ..Wire::default() }.encode_to_vec().into()
}

/// Reads an entry. What is none of ours says nothing.
pub fn read(bytes: Bytes) -> Entry {
    let Ok(wire) = Wire::decode(bytes) else { return Entry::Other };
    match wire.kind {
        PUBLICATION => payload(wire),
        HISTORY_REMOVED => Entry::HistoryRemoved,
        _ => Entry::Other,
    }
}

fn payload(wire: Wire) -> Entry {
    let content = match wire.content {
        0 => Content::Line,
        1 => Content::Text,
        2 => Content::Json,
        3 => Content::Binary,
        _ => return Entry::Other,
    };
    let tags = wire.tags.into_iter().map(|tag| (tag.name, tag.value)).collect();
    let info = wire
        .info
        .map(|Info { user, client, conn_info, chan_info }| Arc::new(ClientInfo { user, client, conn_info, chan_info }));
    let details = wire.has_details.then(|| Arc::new(Details { tags, info }));
    Entry::Publication { at: wire.at, payload: Payload { content, data: wire.data, details } }
}

const fn content(content: Content) -> u32 {
    match content {
        Content::Line => 0,
        Content::Text => 1,
        Content::Json => 2,
        Content::Binary => 3,
    }
}

fn tags(details: &Details) -> Vec<Tag> {
    details.tags.iter().map(|(name, value)| Tag { name: name.clone(), value: value.clone() }).collect()
}

fn info(info: &ClientInfo) -> Info {
    let ClientInfo { user, client, conn_info, chan_info } = info.clone();
    Info { user, client, conn_info, chan_info }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publication_comes_back_as_it_was() {
        let json = Bytes::from_static(b"{}");
        let info = ClientInfo { user: "ann".into(), client: "1".into(), conn_info: Some(json), chan_info: None };
        let details = Details { tags: vec![("a".into(), "b".into())], info: Some(Arc::new(info)) };
        for (content, details) in [
            (Content::Line, None),
            (Content::Text, Some(Details::default())),
            (Content::Json, Some(details)),
            (Content::Binary, None),
        ] {
            let payload =
                Payload { details: details.map(Arc::new), ..Payload::new(content, Bytes::from_static(b"x\n")) };
            assert_eq!(read(publication(7, &payload)), Entry::Publication { at: 7, payload });
        }
        assert_eq!(read(history_removed()), Entry::HistoryRemoved);
    }

    /// A newer hub may write what this one does not know, and a person may write anything.
    #[test]
    fn what_is_not_known_says_nothing() {
        let newer = Wire { kind: 9, ..Wire::default() }.encode_to_vec();
        for bytes in [
            beacon(),
            newer.into(),
            Bytes::from_static(b"hello"),
            Wire { content: 9, ..Wire::default() }.encode_to_vec().into(),
        ] {
            assert_eq!(read(bytes), Entry::Other);
        }
    }
}
