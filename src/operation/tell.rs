//! Commands to every shard.

use crate::hub::{Command, Hub};
use crate::net::socket::SocketSink;

/// Sends a command to each shard, in turn. Waits for credits, never for a shard to carry it out.
///
/// # Cancel safety
///
/// Not cancel safe: some shards may have the command and others not.
pub(crate) async fn tell_all(hub: &Hub<SocketSink>, command: impl Fn() -> Command<SocketSink>) {
    for shard in 0..hub.shards() {
        hub.inbox(shard).send(command()).await;
    }
}
