//! `info`: the hub in numbers.

use super::call::Call;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

/// No fields.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct InfoRequest {}

/// The hubs of the service; one, while there is no cluster.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct InfoResult {
    /// The hubs.
    nodes: [Node; 1],
}

/// A hub.
#[derive(Debug, JsonSchema, Serialize)]
struct Node {
    /// Random, another one after each start.
    uid: &'static str,
    /// Name of the machine.
    name: String,
    /// Version of the program.
    version: &'static str,
    /// Connections.
    num_clients: usize,
    /// Channels, those that are only kept for their history included.
    num_channels: usize,
    /// Seconds since the start.
    uptime: u64,
}

/// Returns the numbers of this moment.
pub(super) fn info(call: &Call<'_>, _: &InfoRequest) -> InfoResult {
    let hub = call.state.hub();
    InfoResult {
        nodes: [Node {
            uid: uid(),
            name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            version: env!("CARGO_PKG_VERSION"),
            num_clients: hub.placement().taken(),
            num_channels: hub.directory().len(),
            uptime: call.state.engine.now().as_secs(),
        }],
    }
}

/// Returns a number that tells this process from the one before.
fn uid() -> &'static str {
    static UID: OnceLock<String> = OnceLock::new();
    // Each `RandomState` has new keys.
    UID.get_or_init(|| format!("{:016x}", RandomState::new().hash_one(())))
}
