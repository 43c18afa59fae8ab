//! `info`: the hub in numbers.

use super::call::Call;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

/// No fields.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct InfoRequest {}

/// The hubs of the service.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct InfoResult {
    /// The hubs: this one first, then those of the cluster, as they told last, at most some seconds ago.
    nodes: Vec<Node>,
}

/// A hub.
#[derive(Debug, JsonSchema, Serialize)]
struct Node {
    /// Random, another one after each start.
    uid: String,
    /// Name of the hub; without a cluster that of the machine.
    name: String,
    /// Version of the program.
    version: String,
    /// Connections.
    num_clients: u64,
    /// Channels, those that are only kept for their history included.
    num_channels: u64,
    /// Seconds since the start.
    uptime: u64,
}

/// Returns the numbers of this moment.
pub(super) fn info(call: &Call<'_>, _: &InfoRequest) -> InfoResult {
    let hub = call.state.hub();
    let peers = call.state.engine.peers();
    let name = peers.as_ref().map(|peers| peers.name.clone());
    let own = Node {
        uid: hub.id().map_or_else(|| uid().to_owned(), |id| id.to_string()),
        name: name.unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        num_clients: hub.placement().taken() as u64,
        num_channels: hub.directory().len() as u64,
        uptime: call.state.engine.now().as_secs(),
    };
    let others = peers.into_iter().flat_map(|peers| peers.peers).map(|peer| Node {
        uid: peer.id.to_string(),
        name: peer.name,
        version: peer.version,
        num_clients: peer.connections,
        num_channels: peer.channels,
        uptime: peer.uptime.as_secs(),
    });
    InfoResult { nodes: std::iter::once(own).chain(others).collect() }
}

/// Returns a number that tells this process from the one before.
fn uid() -> &'static str {
    static UID: OnceLock<String> = OnceLock::new();
    // Each `RandomState` has new keys.
    UID.get_or_init(|| format!("{:016x}", RandomState::new().hash_one(())))
}
