//! What a client sends.

use crate::protocol::json;
use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

#[derive(Clone, Deserialize, PartialEq, prost::Message)]
#[serde(default)]
pub(crate) struct Command {
    #[prost(uint32, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) id: u32,
    #[prost(message, optional, tag = "4")]
    pub(crate) connect: Option<ConnectRequest>,
    #[prost(message, optional, tag = "5")]
    pub(crate) subscribe: Option<SubscribeRequest>,
    #[prost(message, optional, tag = "6")]
    pub(crate) unsubscribe: Option<ChannelRequest>,
    #[prost(message, optional, tag = "7")]
    pub(crate) publish: Option<PublishRequest>,
    #[prost(message, optional, tag = "8")]
    pub(crate) presence: Option<ChannelRequest>,
    #[prost(message, optional, tag = "9")]
    pub(crate) presence_stats: Option<ChannelRequest>,
    #[prost(message, optional, tag = "10")]
    pub(crate) history: Option<HistoryRequest>,
    #[prost(message, optional, tag = "11")]
    pub(crate) ping: Option<PingRequest>,
    #[prost(message, optional, tag = "12")]
    pub(crate) send: Option<SendRequest>,
    #[prost(message, optional, tag = "13")]
    pub(crate) rpc: Option<RpcRequest>,
    #[prost(message, optional, tag = "14")]
    pub(crate) refresh: Option<RefreshRequest>,
    #[prost(message, optional, tag = "15")]
    pub(crate) sub_refresh: Option<SubRefreshRequest>,
}

#[derive(Clone, Deserialize, PartialEq, prost::Message)]
#[serde(default)]
pub(crate) struct ConnectRequest {
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) token: String,
    #[prost(bytes = "bytes", tag = "2")]
    #[serde(deserialize_with = "value")]
    pub(crate) data: Bytes,
    #[prost(btree_map = "string, message", tag = "3")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) subs: BTreeMap<String, SubscribeRequest>,
    #[prost(string, tag = "4")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) name: String,
    #[prost(string, tag = "5")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) version: String,
    #[prost(btree_map = "string, string", tag = "6")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) headers: BTreeMap<String, String>,
}

#[expect(clippy::struct_excessive_bools, reason = "the fields of the protocol")]
#[derive(Clone, Deserialize, PartialEq, prost::Message)]
#[serde(default)]
pub(crate) struct SubscribeRequest {
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) channel: String,
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) token: String,
    #[prost(bool, tag = "3")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) recover: bool,
    #[prost(string, tag = "6")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) epoch: String,
    #[prost(uint64, tag = "7")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) offset: u64,
    #[prost(bytes = "bytes", tag = "8")]
    #[serde(deserialize_with = "value")]
    pub(crate) data: Bytes,
    #[prost(bool, tag = "9")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) positioned: bool,
    #[prost(bool, tag = "10")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) recoverable: bool,
    #[prost(bool, tag = "11")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) join_leave: bool,
    #[prost(string, tag = "12")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) delta: String,
    #[prost(message, optional, tag = "13")]
    pub(crate) tf: Option<FilterNode>,
    #[prost(int64, tag = "14")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) flag: i64,
    #[prost(int32, tag = "15")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) r#type: i32,
}

/// A filter by tags: only that there is one matters.
#[derive(Clone, Deserialize, PartialEq, prost::Message)]
#[serde(default)]
pub(crate) struct FilterNode {}

/// What is asked of a channel without more.
#[derive(Clone, Deserialize, PartialEq, prost::Message)]
#[serde(default)]
pub(crate) struct ChannelRequest {
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) channel: String,
}

#[derive(Clone, Deserialize, PartialEq, prost::Message)]
#[serde(default)]
pub(crate) struct PublishRequest {
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) channel: String,
    #[prost(bytes = "bytes", tag = "2")]
    #[serde(deserialize_with = "value")]
    pub(crate) data: Bytes,
    #[prost(int32, tag = "3")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) r#type: i32,
}

#[derive(Clone, Deserialize, PartialEq, prost::Message)]
#[serde(default)]
pub(crate) struct HistoryRequest {
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) channel: String,
    #[prost(int32, tag = "7")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) limit: i32,
    #[prost(message, optional, tag = "8")]
    pub(crate) since: Option<StreamPosition>,
    #[prost(bool, tag = "9")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) reverse: bool,
}

#[derive(Clone, Deserialize, PartialEq, prost::Message)]
#[serde(default)]
pub(crate) struct StreamPosition {
    #[prost(uint64, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) offset: u64,
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) epoch: String,
}

/// Pings go from the server to the client only.
#[derive(Clone, Deserialize, PartialEq, prost::Message)]
#[serde(default)]
pub(crate) struct PingRequest {}

#[derive(Clone, Deserialize, PartialEq, prost::Message)]
#[serde(default)]
pub(crate) struct SendRequest {
    #[prost(bytes = "bytes", tag = "1")]
    #[serde(deserialize_with = "value")]
    pub(crate) data: Bytes,
}

#[derive(Clone, Deserialize, PartialEq, prost::Message)]
#[serde(default)]
pub(crate) struct RpcRequest {
    #[prost(bytes = "bytes", tag = "1")]
    #[serde(deserialize_with = "value")]
    pub(crate) data: Bytes,
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) method: String,
}

#[derive(Clone, Deserialize, PartialEq, prost::Message)]
#[serde(default)]
pub(crate) struct RefreshRequest {
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) token: String,
}

#[derive(Clone, Deserialize, PartialEq, prost::Message)]
#[serde(default)]
pub(crate) struct SubRefreshRequest {
    #[prost(string, tag = "1")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) channel: String,
    #[prost(string, tag = "2")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) token: String,
    #[prost(int32, tag = "5")]
    #[serde(deserialize_with = "nullable")]
    pub(crate) r#type: i32,
}

/// Reads a JSON value as its text.
pub(super) fn value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    <&RawValue>::deserialize(deserializer).map(|value| json::compact(value.get()))
}

/// Reads `null` as nothing, as JSON of Protobuf messages has it.
pub(super) fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
