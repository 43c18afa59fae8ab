//! The Centrifuge client protocol: what clients of its SDKs send and get, in JSON and in Protobuf.
//!
//! A frame of a client holds one or more [`Command`]s; a frame of ours one or more [`Reply`]s and [`Push`]es. Both
//! formats have the same content, and a client chooses its format with the handshake. `schema.proto` in this folder
//! describes them. Nothing here remembers anything: what may be sent when is decided by the session.

pub mod codes;
mod command;
mod reply;

pub use codes::{DisconnectCode, ErrorCode, UnsubscribeCode};
pub use command::{Command, Connect, History, Publish, Refresh, Request, Rpc, StreamPosition, SubRefresh, Subscribe};
pub use reply::{
    ConnectResult, Disconnect, Error, Expiry, HistoryResult, Push, PushBody, RefreshResult, Reply, ReplyBody,
    ServerSubscription, SubscribeResult, Unsubscribe,
};

/// What the messages of a connection are written in.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Format {
    /// Text messages of JSON objects, one per line.
    Json,
    /// Binary messages of Protobuf messages, each after its length.
    Protobuf,
}

/// A frame that is not made of commands.
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
#[error("not a command of the Centrifuge protocol")]
pub struct Malformed;
