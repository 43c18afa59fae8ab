//! `/admin/cluster`: every hub of the cluster, as this one knows it, what is missing, and what to do.

use super::error::ApiError;
use crate::engine::nats::peers::{LostPeer, Peer, PeerStage, PeersView};
use crate::operation::state::State;
use hyper::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// Returns the hubs: this one first, then the others by id.
pub(super) fn list(state: &State) -> Result<Value, ApiError> {
    let no_cluster = || ApiError::new(StatusCode::NOT_FOUND, "there is no cluster: --engine is memory");
    let view = state.engine.peers().ok_or_else(no_cluster)?;
    let stage = PeerStage::from(state.lifecycle.stage());
    let connections = state.hub().placement().taken() as u64;
    let balance = view.balance(connections, stage);
    let own = json!({
        "uid": view.own.to_string(),
        "name": view.name,
        "is_this": true,
        "state": stage.word(),
        "version": env!("CARGO_PKG_VERSION"),
        "addresses": state.settings.load().addr.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "connections": connections,
        "connections_max": state.hub().placement().max(),
        "channels": state.hub().directory().len(),
        "uptime_seconds": state.engine.now().as_secs(),
        "heartbeat_age_seconds": 0.0,
        "is_late": false,
    });
    let hubs: Vec<_> = std::iter::once(own).chain(view.peers.iter().map(|peer| describe(peer, view.now))).collect();
    let rebalance = (balance.above_mean > 0).then(|| {
        json!({
            "connections_above_mean": balance.above_mean,
            "command": format!("POST /admin/shed?count={}", balance.above_mean),
        })
    });
    Ok(json!({
        "hubs": hubs,
        "missing": view.lost.iter().map(|lost| describe_lost(lost, view.now)).collect::<Vec<_>>(),
        "connections_total": connections + view.peers.iter().map(|peer| peer.connections).sum::<u64>(),
        "versions": versions(&view),
        "siblings": { "serving": balance.serving, "room": balance.room },
        "rebalance": rebalance,
    }))
}

fn describe(peer: &Peer, now: Duration) -> Value {
    json!({
        "uid": peer.id.to_string(),
        "name": peer.name,
        "is_this": false,
        "state": peer.stage.word(),
        "version": peer.version,
        "addresses": peer.addresses,
        "connections": peer.connections,
        "connections_max": peer.connections_max,
        "channels": peer.channels,
        "uptime_seconds": peer.uptime.as_secs(),
        "heartbeat_age_seconds": seconds(now.saturating_sub(peer.heard)),
        "is_late": peer.is_late(now),
    })
}

fn describe_lost(lost: &LostPeer, now: Duration) -> Value {
    let silent = seconds(now.saturating_sub(lost.heard));
    json!({ "uid": lost.id.to_string(), "name": lost.name, "silent_seconds": silent })
}

/// Returns the versions that run; more than one during an upgrade.
fn versions(view: &PeersView) -> BTreeSet<&str> {
    view.peers.iter().map(|peer| peer.version.as_str()).chain([env!("CARGO_PKG_VERSION")]).collect()
}

/// Returns seconds with one digit after the point.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).round() / 10.0
}
