//! Reading: what a channel keeps, page by page, and who is in it, without subscribing to it.

use super::channel::Order;
use super::history::History;
use super::{Hub, Members, Sink};
use crate::protocol::{ChannelName, Position, Publication};
use thiserror::Error;

/// Which publications are read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HistoryQuery {
    /// Those after it, or with `is_reverse` those before it.
    pub since: Option<Position>,
    /// Most publications; 0 for none, only the position.
    pub limit: usize,
    /// Newest first.
    pub is_reverse: bool,
}

/// What was read of a channel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HistoryPage {
    /// In the order that was asked for.
    pub publications: Vec<Publication>,
    /// Where the history stands.
    pub position: Position,
}

/// The position is not one of this incarnation of the channel.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the position belongs to another incarnation of the channel: read from the beginning")]
pub struct UnknownPosition;

impl<S: Sink> Hub<S> {
    /// Reads what a channel keeps at `now`, in microseconds since 1970; `None` when it keeps nothing.
    ///
    /// # Errors
    ///
    /// [`UnknownPosition`] when `since` has another epoch, or is beyond the newest publication.
    pub fn history(
        &self,
        name: &ChannelName,
        query: HistoryQuery,
        now: u64,
    ) -> Result<Option<HistoryPage>, UnknownPosition> {
        let Some(channel) = self.parts.directory.get(name) else {
            // Where a log numbers publications, a channel that keeps nothing stands where its partition does.
            let Some(partition) = self.parts.directory.partition(name) else { return Ok(None) };
            let position = Position { epoch: partition.epoch(), offset: partition.applied() };
            check(query.since, position)?;
            return Ok(Some(HistoryPage { publications: Vec::new(), position }));
        };
        channel.in_order(|order| {
            self.catch_up(order, name);
            order.expire_history(now, &self.parts.history);
            let (Some(position), Some(history)) = (order.position(), &order.history) else { return Ok(None) };
            let publications = read(history, position, query)?;
            Ok(Some(HistoryPage { publications, position }))
        })
    }

    /// Returns who is in a channel; nobody where its namespace has no presence. Takes its lock for some nanoseconds per
    /// member.
    pub fn presence(&self, name: &ChannelName) -> Members {
        let channel = self.parts.directory.get(name);
        channel.map(|channel| channel.in_order(Order::members)).unwrap_or_default()
    }

    /// Drops what a channel keeps. Offsets go on.
    pub fn remove_history(&self, name: &ChannelName) {
        if let Some(channel) = self.parts.directory.get(name)
            && channel.clear_history(&self.parts.history)
        {
            self.parts.directory.forget(&channel);
        }
    }
}

fn read(history: &History, top: Position, query: HistoryQuery) -> Result<Vec<Publication>, UnknownPosition> {
    let HistoryQuery { since, limit, is_reverse } = query;
    check(since, top)?;
    let (from, until) = match (since, is_reverse) {
        (Some(since), true) => (0, history.index_after(since.offset.saturating_sub(1))),
        (Some(since), false) => (history.index_after(since.offset), history.len()),
        (None, _) => (0, history.len()),
    };
    let wanted = (until - from).min(limit);
    let first = if is_reverse { until - wanted } else { from };
    let mut publications: Vec<_> = history.from(first).take(wanted).collect();
    if is_reverse {
        publications.reverse();
    }
    Ok(publications)
}

fn check(since: Option<Position>, top: Position) -> Result<(), UnknownPosition> {
    let is_known = since.is_none_or(|since| since.epoch == top.epoch && since.offset <= top.offset);
    is_known.then_some(()).ok_or(UnknownPosition)
}
