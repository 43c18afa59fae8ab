//! Recovering in a cluster: whether this hub can say by itself what a client missed, and what it has to fetch from the
//! log otherwise.

use super::history::{Backfill, History, HistoryOptions, RECOVERED_MAX};
use super::partition::Partition;
use super::{DirectoryFull, HistoryQuery, Hub, Since, Sink};
use crate::config::ChannelOptions;
use crate::protocol::{ChannelName, Position};
use std::sync::Arc;

/// What has to be done before a subscription, or a read, gets all that can be had.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Coverage {
    /// Nothing.
    Ready,
    /// This hub is behind the one that the position is from: wait until `applied` is this far.
    Ahead {
        /// The sequence number.
        offset: u64,
    },
    /// The log may have more than the history: fetch what it has of the channel, up to `until` at least, and call
    /// [`Hub::backfill`].
    Backfill {
        /// What is asked for comes after this offset.
        after: u64,
        /// The history has everything after this one.
        until: u64,
    },
}

/// What the history of a channel has to have.
#[derive(Clone, Copy)]
enum Wanted {
    /// Nothing but its position.
    Position,
    /// Everything after a position.
    After(Position),
    /// So many of the newest publications, or of those before a position.
    Newest(usize, Option<Position>),
    /// Everything.
    All,
}

impl<S: Sink> Hub<S> {
    /// Returns what has to be done before a subscription that begins there.
    pub fn coverage(&self, name: &ChannelName, options: &Arc<ChannelOptions>, since: Since) -> Coverage {
        let Some(partition) = self.parts.directory.partition(name) else { return Coverage::Ready };
        let recovers = options.options.recovery;
        let wanted = match since {
            Since::Now => Wanted::Position,
            Since::Newest(wanted) => Wanted::Newest(wanted.min(RECOVERED_MAX), None),
            Since::After { position, .. } if recovers => Wanted::After(position),
            Since::Offset(offset) if recovers => Wanted::After(Position { epoch: partition.epoch(), offset }),
            Since::After { or_newest: wanted, .. } => Wanted::Newest(wanted.min(RECOVERED_MAX), None),
            Since::Offset(_) => Wanted::Position,
        };
        self.cover(partition, name, options, wanted)
    }

    /// Returns what has to be done before the history of a channel is read.
    pub fn coverage_of(&self, name: &ChannelName, options: &Arc<ChannelOptions>, query: HistoryQuery) -> Coverage {
        let Some(partition) = self.parts.directory.partition(name) else { return Coverage::Ready };
        let wanted = match query {
            HistoryQuery { limit: 0, since: None, .. } => Wanted::Position,
            HistoryQuery { since, limit, is_reverse: true } => Wanted::Newest(limit, since),
            HistoryQuery { since: Some(since), is_reverse: false, .. } => Wanted::After(since),
            HistoryQuery { since: None, is_reverse: false, .. } => Wanted::All,
        };
        self.cover(partition, name, options, wanted)
    }

    fn cover(
        &self,
        partition: &Partition,
        name: &ChannelName,
        options: &Arc<ChannelOptions>,
        wanted: Wanted,
    ) -> Coverage {
        let kept = HistoryOptions::of(options);
        if let Wanted::After(position) | Wanted::Newest(_, Some(position)) = wanted {
            if position.epoch != partition.epoch() {
                return Coverage::Ready;
            }
            if position.offset > partition.applied() {
                return Coverage::Ahead { offset: position.offset };
            }
        }
        if !kept.is_on() {
            return Coverage::Ready;
        }
        let cover = |history: Option<&History>| {
            let until = history.map_or_else(|| partition.floor(), History::floor);
            let after = missing(history, wanted, until, kept.size);
            after.map_or(Coverage::Ready, |after| Coverage::Backfill { after, until })
        };
        match self.parts.directory.get(name) {
            Some(channel) => channel.in_order(|order| match &order.history {
                Some(history) if history.is_backfilled() => Coverage::Ready,
                Some(history) => cover(Some(history)),
                None => Coverage::Ready,
            }),
            None => cover(None),
        }
    }

    /// Puts what the log has of a channel before what its history has. Returns whether it leads up to that: if it does
    /// not, the history has lost something meanwhile, or the log begins anew.
    ///
    /// # Errors
    ///
    /// [`DirectoryFull`] when the channel does not exist and would be one too many.
    pub fn backfill(
        &self,
        name: &ChannelName,
        options: &Arc<ChannelOptions>,
        backfill: &Backfill,
    ) -> Result<bool, DirectoryFull> {
        let directory = &self.parts.directory;
        loop {
            let channel = directory.open(name, options)?;
            let kept = channel.in_order(|order| {
                let history = order.history.as_mut();
                (!order.is_closed).then(|| history.and_then(|one| one.backfill(backfill, &self.parts.history)))
            });
            if let Some(kept) = kept {
                // The sweep closes the channel if nobody comes.
                kept.into_iter().for_each(|kept| self.settle(&channel, kept));
                return Ok(kept.is_some());
            }
            directory.forget(&channel);
        }
    }
}

/// Returns after which offset something is wanted that the history may lack; `None` if it has all.
fn missing(history: Option<&History>, wanted: Wanted, floor: u64, size: usize) -> Option<u64> {
    let len_before = |position: Option<Position>| {
        let before = |position: Position| move |one: &History| one.index_after(position.offset.saturating_sub(1));
        history.map_or(0, |history| position.map_or_else(|| history.len(), |position| before(position)(history)))
    };
    match wanted {
        Wanted::Position => None,
        Wanted::After(position) => (position.offset < floor).then_some(position.offset),
        Wanted::Newest(wanted, before) => (len_before(before) < wanted.min(size)).then_some(0),
        Wanted::All => (len_before(None) < size).then_some(0),
    }
}
