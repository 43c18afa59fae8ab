//! A publication as a push: what stands before and after its data, which is copied or shared as it is.
//!
//! The data comes last, so that everything before it depends on the channel, the offset and the publisher alone.

use super::delta::{Chain, Link};
use super::format::Format;
use super::wire::reply as wire;
use super::{json, value};
use crate::protocol::{Content, Publication};
use bytes::Bytes;
use prost::Message as _;

/// The key of field 4 with a length before its value: `Reply.push`, `Push.pub` and `Publication.data`.
const FIELD_4: u8 = 4 << 3 | 2;

/// That of field 2: `Push.channel`.
const FIELD_2: u8 = 2 << 3 | 2;

/// The most bytes of the longest integer.
const VARINT_MAX: usize = 10;

/// Bytes that most publications need around their data besides those of the channel's start.
const HEAD_BYTES: usize = 48;

/// Data of fewer bytes is copied behind what stands before it, see `hub/shard/log.rs`.
const SMALL_BYTES: usize = 4 * 1024;

/// Returns what stands in every push of publications to a channel: in JSON its beginning, in Protobuf the name.
pub fn start(format: Format, channel: &str) -> Box<[u8]> {
    let mut start = Vec::new();
    match format {
        Format::Json => {
            start.extend_from_slice(br#"{"push":{"channel":"#);
            crate::protocol::json::write_text(&mut start, channel);
            start.extend_from_slice(br#","pub":"#);
        }
        Format::Protobuf => {
            start.push(FIELD_2);
            length(channel.len(), &mut start);
            start.extend_from_slice(channel.as_bytes());
        }
    }
    start.into()
}

/// Returns a push as what stands before its data, the data, and what stands after it. `start` is that of the channel.
///
/// # Hot path
///
/// Once per publication, shard and format: an allocation for what stands before the data. Data that has to be written
/// in another form takes one more, unless it is small and in JSON. See `benches/frame.rs`.
pub fn encode(format: Format, start: &[u8], publication: &Publication) -> (Vec<u8>, Bytes, &'static [u8]) {
    match format {
        Format::Json => {
            let payload = &publication.payload;
            let mut prefix = Vec::with_capacity(capacity(start, &payload.data));
            prefix.extend_from_slice(start);
            json::publication_head(publication, false, &mut prefix);
            let data = if payload.content == Content::Json || payload.data.len() >= SMALL_BYTES {
                value::text(payload)
            } else {
                value::write_text(payload, &mut prefix);
                Bytes::new()
            };
            (prefix, data, b"}}}\n")
        }
        Format::Protobuf => {
            let data = value::bytes(&publication.payload);
            (protobuf_head(start, publication, false, &data), data, b"")
        }
    }
}

/// Returns a push as [`encode`] does, for clients that get deltas along this chain.
///
/// # Hot path
///
/// Once per publication, shard and format, where a subscriber asked for deltas: a pass over its data and that of the
/// one before.
pub fn encode_delta(
    format: Format,
    start: &[u8],
    publication: &Publication,
    chain: &mut Chain,
) -> (Vec<u8>, Bytes, &'static [u8]) {
    let Link { data, is_delta } = chain.next(format, &publication.payload);
    match format {
        Format::Json => {
            let mut prefix = Vec::with_capacity(capacity(start, &data));
            prefix.extend_from_slice(start);
            json::publication_head(publication, is_delta, &mut prefix);
            (prefix, data, b"}}}\n")
        }
        Format::Protobuf => (protobuf_head(start, publication, is_delta, &data), data, b""),
    }
}

/// Returns the bytes of most pushes, with room for data that is small and so follows in the same memory.
fn capacity(start: &[u8], data: &[u8]) -> usize {
    start.len() + HEAD_BYTES + if data.len() < SMALL_BYTES { data.len() } else { 0 }
}

fn protobuf_head(start: &[u8], publication: &Publication, is_delta: bool, data: &[u8]) -> Vec<u8> {
    let head = wire::Publication { delta: is_delta, ..without_data(publication) };
    let published = head.encoded_len() + field_len(data.len());
    let push = start.len() + field_len(published);
    let mut out = Vec::with_capacity(capacity(start, data));
    length(field_len(push), &mut out);
    field(push, &mut out);
    out.extend_from_slice(start);
    field(published, &mut out);
    head.encode_raw(&mut out);
    field(data.len(), &mut out);
    out
}

/// Returns a publication without its data.
pub(super) fn without_data(publication: &Publication) -> wire::Publication {
    let details = publication.payload.details.as_deref();
    let info = details.and_then(|details| details.info.as_deref()).map(Into::into);
    let tags = details.map(|details| details.tags.iter().cloned().collect()).unwrap_or_default();
    wire::Publication { data: Bytes::new(), info, offset: publication.offset, tags, delta: false }
}

/// Returns the bytes of field 4 with a value of that length.
fn field_len(len: usize) -> usize {
    1 + prost::length_delimiter_len(len) + len
}

/// Begins field 4 with a value of that length.
fn field(len: usize, out: &mut Vec<u8>) {
    out.push(FIELD_4);
    length(len, out);
}

/// Appends a length as Protobuf writes it.
fn length(len: usize, out: &mut Vec<u8>) {
    out.reserve(VARINT_MAX);
    let written = prost::encode_length_delimiter(len, out);
    debug_assert!(written.is_ok(), "there is room");
}
