//! Messages of the Centrifuge protocol in Protobuf, as the JSON that means the same. By another library than the
//! generator's reader, which has none.

use prost::Message;
use serde_json::{Value, json};

#[derive(Clone, PartialEq, Message)]
struct Command {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(message, optional, tag = "4")]
    connect: Option<ConnectRequest>,
    #[prost(message, optional, tag = "5")]
    subscribe: Option<ChannelRequest>,
    #[prost(message, optional, tag = "7")]
    publish: Option<PublishRequest>,
}

#[derive(Clone, PartialEq, Message)]
struct ConnectRequest {
    #[prost(string, tag = "4")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct ChannelRequest {
    #[prost(string, tag = "1")]
    channel: String,
}

#[derive(Clone, PartialEq, Message)]
struct PublishRequest {
    #[prost(string, tag = "1")]
    channel: String,
    #[prost(bytes = "vec", tag = "2")]
    data: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Reply {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(message, optional, tag = "2")]
    error: Option<Error>,
    #[prost(message, optional, tag = "4")]
    push: Option<Push>,
    #[prost(message, optional, tag = "5")]
    connect: Option<ConnectResult>,
    #[prost(message, optional, tag = "6")]
    subscribe: Option<Empty>,
    #[prost(message, optional, tag = "8")]
    publish: Option<Empty>,
}

#[derive(Clone, PartialEq, Message)]
struct Error {
    #[prost(uint32, tag = "1")]
    code: u32,
    #[prost(string, tag = "2")]
    message: String,
}

#[derive(Clone, PartialEq, Message)]
struct ConnectResult {
    #[prost(string, tag = "1")]
    client: String,
}

#[derive(Clone, PartialEq, Message)]
struct Empty {}

#[derive(Clone, PartialEq, Message)]
struct Push {
    #[prost(string, tag = "2")]
    channel: String,
    #[prost(message, optional, tag = "4")]
    publication: Option<Publication>,
    #[prost(message, optional, tag = "5")]
    join: Option<Empty>,
}

/// As Centrifugo writes it: the data first.
#[derive(Clone, PartialEq, Message)]
struct Publication {
    #[prost(bytes = "vec", tag = "4")]
    data: Vec<u8>,
    #[prost(uint64, tag = "6")]
    offset: u64,
}

/// Reads a message with commands.
pub(crate) fn commands(mut bytes: &[u8]) -> Vec<Value> {
    let mut commands = Vec::new();
    while !bytes.is_empty() {
        let Command { id, connect, subscribe, publish } = Command::decode_length_delimited(&mut bytes).unwrap();
        commands.push(match (connect, subscribe, publish) {
            (Some(connect), None, None) => json!({ "id": id, "connect": { "name": connect.name } }),
            (None, Some(subscribe), None) => json!({ "id": id, "subscribe": { "channel": subscribe.channel } }),
            (None, None, Some(PublishRequest { channel, data })) => {
                let data: Value = serde_json::from_slice(&data).unwrap();
                json!({ "id": id, "publish": { "channel": channel, "data": data } })
            }
            (None, None, None) if id == 0 => json!({}),
            other => unreachable!("{other:?}"),
        });
    }
    commands
}

/// Writes a message with replies.
pub(crate) fn replies(replies: &[&Value]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    for reply in replies {
        let (error, push) = (reply.get("error"), reply.get("push"));
        let publication = push.and_then(|push| push.get("pub"));
        let reply = Reply {
            id: u32::try_from(number(&reply["id"])).unwrap(),
            error: error.map(|error| Error {
                code: u32::try_from(number(&error["code"])).unwrap(),
                message: text(&error["message"]),
            }),
            push: push.map(|push| Push {
                channel: text(&push["channel"]),
                publication: publication.map(|publication| Publication {
                    data: publication["data"].to_string().into(),
                    offset: number(&publication["offset"]),
                }),
                join: push.get("join").map(|_| Empty {}),
            }),
            connect: reply.get("connect").map(|connect| ConnectResult { client: text(&connect["client"]) }),
            subscribe: reply.get("subscribe").map(|_| Empty {}),
            publish: reply.get("publish").map(|_| Empty {}),
        };
        reply.encode_length_delimited(&mut bytes).unwrap();
    }
    bytes
}
