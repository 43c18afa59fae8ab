//! The Centrifuge client protocol: what clients of its SDKs send and get, in JSON and in Protobuf.
//!
//! A frame of a client holds one or more [`Command`]s; a frame of ours one or more [`Reply`]s and [`Push`]es. Both
//! formats have the same content, and a client chooses its format with the handshake. `schema.proto` in this folder
//! describes them. Nothing here remembers anything: what may be sent when is decided by the session.

pub mod codes;
mod command;
mod format;
mod frame;
mod reply;

pub mod close;
pub mod delta;
mod json;
mod protobuf;
pub mod publication;
mod value;
mod wire;

#[cfg(test)]
mod tests;

pub use codes::{DisconnectCode, ErrorCode, UnsubscribeCode};
pub use command::{Command, Connect, History, Publish, Refresh, Request, Rpc, StreamPosition, SubRefresh, Subscribe};
pub use delta::Chain;
pub use format::{Format, Malformed};
pub use frame::{Commands, commands, push, reply};
pub use reply::{
    ConnectResult, Disconnect, Error, Expiry, HistoryResult, Push, PushBody, RefreshResult, Reply, ReplyBody,
    ServerSubscription, SubscribeResult, Unsubscribe,
};
