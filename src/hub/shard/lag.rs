//! Lag: how far a connection may be behind a channel, and for how long.
//!
//! In a burst every connection lags that is a few milliseconds away, the publisher's own among them, although all of
//! them take bytes as fast as they can. So lag counts against a connection only when it does not drain:
//!
//! | lag | and | is judged |
//! |---|---|---|
//! | over `outbox_bytes_max` | its socket took nothing for a tenth of `outbox_stall_max` | by the tick |
//! | over `outbox_bytes_max` | at every tick for `outbox_stall_max` | by the tick |
//! | over 8 times `outbox_bytes_max` | | when it parks, and by every fan-out after that |
//!
//! The last row bounds memory: no log keeps more for its slow subscribers. The other two cost nothing per message.

use super::connection::Connection;
use super::control_queue::ControlQueue;
use super::shard_channel::ShardChannels;
use crate::config::HubLimits;
use std::time::Duration;

/// Multiple of `outbox_bytes_max` that no connection may lag by. With the defaults 8 MiB, which holds the bursts that
/// were reported (2 MB in 20,000 messages, 7 MB in 200,000), and is memory of a channel and shard, not of a connection.
const BURST_FACTOR: u64 = 8;

/// Share of `outbox_stall_max` for which the socket of a connection over its bound may take nothing. With the defaults
/// a second: longer than a publisher's or a page's event loop is busy with such a burst.
const STALL_SHARE: u32 = 10;

/// Returns the lag in bytes over which a parked connection is too slow, whatever it took lately.
pub(super) fn lag_bytes_max(limits: &HubLimits) -> u64 {
    (limits.outbox_bytes_max as u64).saturating_mul(BURST_FACTOR)
}

/// Returns the bytes by which the connection lags in the channel where it lags most.
pub(super) fn lag_of<S>(connection: &Connection<S>, channels: &ShardChannels) -> u64 {
    let lags = connection.subscriptions.iter().filter_map(|subscription| {
        let channel = channels.get(subscription.channel)?;
        Some(channel.log.head() - channel.subscriptions[subscription.index()].cursor)
    });
    lags.max().unwrap_or(0)
}

/// Returns whether a connection that lags by `lag` bytes has had its time, and notes since when it is over its bound.
pub(super) fn is_out_of_time(
    limits: &HubLimits,
    control: &mut ControlQueue,
    is_parked: bool,
    lag: u64,
    now: Duration,
) -> bool {
    if lag <= limits.outbox_bytes_max as u64 {
        control.over_bound_since = None;
        return false;
    }
    let over_bound = now.saturating_sub(*control.over_bound_since.get_or_insert(now));
    let stalled = control.stalled_since.filter(|_| is_parked).map(|since| now.saturating_sub(since));
    over_bound >= limits.outbox_stall_max
        || stalled.is_some_and(|stalled| stalled >= limits.outbox_stall_max / STALL_SHARE)
}
