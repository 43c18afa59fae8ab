//! `/admin/channels`: the channels with most subscribers, publications, or publications per second.

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

/// Most channels in one response.
const LIMIT_MAX: usize = 1000;

/// Channels in a response without `limit`: about a screen.
const LIMIT_DEFAULT: usize = 50;

/// Time over which publications are counted in a request without `over`.
const OVER_DEFAULT: Duration = Duration::from_secs(1);

/// Longest time over which publications are counted; longer ones are shortened.
const OVER_MAX: Duration = Duration::from_secs(60);

/// The order of channels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Rank {
    Subscribers,
    Publications,
    Rate,
}

const RANKS: [(&str, Rank); 3] =
    [("subscribers", Rank::Subscribers), ("publications", Rank::Publications), ("rate", Rank::Rate)];

/// A channel with its counts.
struct Row {
    channel: Arc<Channel>,
    stats: ChannelStats,
    /// Publications per second; `None` if the request does not sort by it.
    rate: Option<f64>,
}

/// Lists the first `limit` channels by `sort`. By rate, the response takes as long as publications are counted: `over`.
pub(super) fn list(state: &Arc<State>, query: &Query<'_>) -> Result<ResponseFuture, ApiError> {
    query.only(&["sort", "limit", "over"])?;
    let (sort, rank) = query.word("sort", &RANKS)?;
    let limit = query.number("limit", LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    let over = query.time("over")?.unwrap_or(OVER_DEFAULT).min(OVER_MAX);
    let state = Arc::clone(state);
    Ok(ResponseFuture::boxed(async move {
        let mut rows = read_stats(&state).await;
        if rank == Rank::Rate {
            measure_rates(&mut rows, over).await;
        }
        let total = rows.len();
        let channels: Vec<_> = first(rows, rank, limit).iter().map(describe).collect();
        json_response(StatusCode::OK, &json!({ "sort": sort, "channels_total": total, "channels": channels }))
    }))
}

/// Reads the counts of every channel, on a thread for blocking work: there may be a hundred thousand of them.
async fn read_stats(state: &Arc<State>) -> Vec<Row> {
    let state = Arc::clone(state);
    let rows = spawn_blocking(move || {
        let channels = state.hub().directory().channels();
        channels.into_iter().map(|channel| Row { stats: channel.stats(), channel, rate: None }).collect()
    });
    // An error would be a panic, or the end of the runtime.
    rows.await.unwrap_or_default()
}

/// Counts publications from now on, for a time, and sets the rates.
async fn measure_rates(rows: &mut [Row], over: Duration) {
    let start = Instant::now();
    sleep(over).await;
    let seconds = start.elapsed().as_secs_f64().max(f64::MIN_POSITIVE);
    for row in rows {
        let now = row.channel.stats();
        row.rate = Some(count_as_f64(now.publications - row.stats.publications) / seconds);
        row.stats = now;
    }
}

#[expect(clippy::cast_precision_loss, reason = "2^53 publications are out of reach")]
fn count_as_f64(count: u64) -> f64 {
    count as f64
}

fn first(mut rows: Vec<Row>, rank: Rank, limit: usize) -> Vec<Row> {
    match rank {
        Rank::Subscribers => rows.sort_by_key(|row| Reverse((row.stats.subscribers, row.stats.publications))),
        Rank::Publications => rows.sort_by_key(|row| Reverse((row.stats.publications, row.stats.subscribers))),
        Rank::Rate => rows.sort_by(|one, other| other.rate.partial_cmp(&one.rate).unwrap_or(std::cmp::Ordering::Equal)),
    }
    rows.truncate(limit);
    rows
}

fn describe(row: &Row) -> Value {
    json!({
        "channel": row.channel.name().as_str(),
        "subscribers": row.stats.subscribers,
        "publications": row.stats.publications,
        "publications_per_second": row.rate,
    })
}
