//! `/admin/channels`: the largest, and the busiest.

use super::error::{ApiError, json_response};
use super::query::Query;
use crate::http::response::ResponseFuture;
use crate::hub::Channel;
use crate::hub::channel::ChannelStats;
use crate::operation::state::State;
use hyper::StatusCode;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

/// Channels of one answer at most.
const LIMIT_MAX: usize = 1000;

/// ... and when nobody says how many: a screen.
const LIMIT: usize = 50;

/// Time over which publications are counted, unless the request says another.
const OVER: Duration = Duration::from_secs(1);

/// What makes a channel come first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Rank {
    Subscribers,
    Publications,
    Rate,
}

const RANKS: [(&str, Rank); 3] =
    [("subscribers", Rank::Subscribers), ("publications", Rank::Publications), ("rate", Rank::Rate)];

/// A channel, and how much was published to it per second.
struct Row {
    channel: Arc<Channel>,
    census: ChannelStats,
    rate: Option<f64>,
}

/// Lists the first by `sort`. By rate it takes as long as it counts: `over`.
pub(super) fn list(state: &Arc<State>, query: &Query<'_>) -> Result<ResponseFuture, ApiError> {
    query.only(&["sort", "limit", "over"])?;
    let (sort, rank) = query.word("sort", &RANKS)?;
    let limit = query.number("limit", LIMIT_MAX)?.unwrap_or(LIMIT);
    let over = query.time("over")?.unwrap_or(OVER).min(Duration::from_secs(60));
    let state = Arc::clone(state);
    Ok(ResponseFuture::boxed(async move {
        let before = take_census(&state).await;
        let rows = if rank == Rank::Rate { count_over(before, over).await } else { before };
        let total = rows.len();
        let channels: Vec<_> = first(rows, rank, limit).iter().map(describe).collect();
        json_response(StatusCode::OK, &json!({ "sort": sort, "channels_total": total, "channels": channels }))
    }))
}

/// Asks every channel, on a thread that may take its time: there may be a hundred thousand of them.
async fn take_census(state: &Arc<State>) -> Vec<Row> {
    let state = Arc::clone(state);
    let census = spawn_blocking(move || {
        let channels = state.hub.directory().channels();
        channels.into_iter().map(|channel| Row { census: channel.census(), channel, rate: None }).collect()
    });
    // It neither panics nor is it cancelled while the runtime lives.
    census.await.unwrap_or_default()
}

/// Counts what is published from now on.
async fn count_over(mut rows: Vec<Row>, over: Duration) -> Vec<Row> {
    let start = Instant::now();
    sleep(over).await;
    let seconds = start.elapsed().as_secs_f64().max(f64::MIN_POSITIVE);
    for row in &mut rows {
        let now = row.channel.census();
        row.rate = Some(per(now.publications - row.census.publications, seconds));
        row.census = now;
    }
    rows
}

#[expect(clippy::cast_precision_loss, reason = "a rate of 2^53 is out of reach")]
fn per(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

fn first(mut rows: Vec<Row>, rank: Rank, limit: usize) -> Vec<Row> {
    match rank {
        Rank::Subscribers => rows.sort_by_key(|row| Reverse((row.census.subscribers, row.census.publications))),
        Rank::Publications => rows.sort_by_key(|row| Reverse((row.census.publications, row.census.subscribers))),
        Rank::Rate => rows.sort_by(|one, other| other.rate.partial_cmp(&one.rate).unwrap_or(std::cmp::Ordering::Equal)),
    }
    rows.truncate(limit);
    rows
}

fn describe(row: &Row) -> Value {
    json!({
        "channel": row.channel.name().as_str(),
        "subscribers": row.census.subscribers,
        "publications": row.census.publications,
        "publications_per_second": row.rate,
    })
}
