//! `/admin/connections`: the connections with the highest lag, stall or age, and the state of their sockets.

use super::error::{ApiError, json_response};
use super::query::Query;
use crate::http::response::ResponseFuture;
use crate::hub::inspection::{Inspection, Rank, Seen, View};
use crate::hub::{Command, Hub};
use crate::net::socket::SocketSink;
use crate::operation::state::State;
use hyper::StatusCode;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::net::Ipv6Addr;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Most connections in one response: each costs its shard a system call.
const LIMIT_MAX: usize = 100;

/// Connections in a response without `limit`: about a screen.
const LIMIT_DEFAULT: usize = 50;

const RANKS: [(&str, Rank); 3] = [("lag", Rank::Lag), ("stalled", Rank::Stalled), ("age", Rank::Age)];

/// Lists the first `limit` connections by `sort`, of all shards or of one.
pub(super) fn list(state: &Arc<State>, query: &Query<'_>) -> Result<ResponseFuture, ApiError> {
    query.only(&["sort", "limit", "shard"])?;
    let (sort, rank) = query.word("sort", &RANKS)?;
    let limit = query.number("limit", LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    let shards = state.hub().shards();
    let shards = match query.index("shard", shards)? {
        Some(shard) => shard..shard + 1,
        None => 0..shards,
    };
    let hub = state.hub().clone();
    Ok(ResponseFuture::boxed(async move {
        let mut first = Ranking { rank, limit, connections: Vec::new() };
        for shard in shards {
            first.add_shard(&hub, shard).await;
        }
        let list = json!({
            "sort": sort,
            "connections_total": hub.placement().taken(),
            "connections": first.connections.iter().map(|view| describe(&hub, view)).collect::<Vec<_>>(),
        });
        json_response(StatusCode::OK, &list)
    }))
}

/// The first `limit` connections by `rank` of the shards that were added.
struct Ranking {
    rank: Rank,
    limit: usize,
    connections: Vec<View>,
}

impl Ranking {
    async fn add_shard(&mut self, hub: &Hub<SocketSink>, shard: usize) {
        // Slice by slice: a shard with a hundred thousand connections must not be kept from its deliveries.
        let mut from = Some(0);
        while let Some(slot) = from {
            let (reply, seen) = oneshot::channel();
            let inspection = Inspection { from: slot, rank: self.rank, limit: self.limit, reply };
            hub.inbox(shard).send(Command::Inspect(inspection)).await;
            // Without a reply the shard has failed, and its connections are closed.
            let Seen { connections, next } = seen.await.unwrap_or_default();
            self.connections.extend(connections);
            self.connections.sort_by_key(|view| (Reverse(view.weight), Reverse(view.age)));
            self.connections.truncate(self.limit);
            from = next;
        }
    }
}

fn describe(hub: &Hub<SocketSink>, view: &View) -> Value {
    let tcp = view.wire.and_then(|wire| wire.tcp);
    let names: Vec<_> = view.channels.iter().map(|channel| channel.name().as_str()).collect();
    json!({
        "id": hub.client_id(view.id).to_string(),
        "shard": view.id.shard(),
        "client": view.wire.map(|wire| Ipv6Addr::from_bits(wire.client).to_canonical().to_string()),
        "state": view.state,
        "age_seconds": view.age.as_secs(),
        "channels": names,
        "channels_total": view.channel_count,
        "queued_bytes": view.lag_bytes + view.control_bytes,
        "lag_bytes": view.lag_bytes,
        "lag_publications": view.lag_publications,
        "stalled_seconds": view.stalled.map(|stalled| stalled.as_secs_f64()),
        "round_trip_seconds": tcp.map(|tcp| tcp.round_trip.as_secs_f64()),
        "unsent_bytes": tcp.map(|tcp| tcp.unsent_bytes),
        "unacked_segments": tcp.map(|tcp| tcp.unacked_segments),
        "retransmitted_segments": tcp.map(|tcp| tcp.retransmitted_segments),
    })
}
