//! Subscribing: a connection gets what is published to a channel from one point of its order on, and, if it asks for
//! it, what was published before.
//!
//! Everything happens in one step under the channel's lock, so there is no gap, no duplicate and nothing to merge.

use super::channel::{Channel, Newcomer, Order, Removed, Told};
use super::handle::Parts;
use super::history::{History, RECOVERED_MAX};
use super::inbox::Credit;
use super::observer::Change;
use super::{Command, ConnectionId, DirectoryFull, Hub, MessageShape, ReplyPermit, Sink};
use crate::config::ChannelOptions;
use crate::metrics::Metrics;
use crate::protocol::backlog::Backlog;
use crate::protocol::position::Start;
use crate::protocol::{ChannelName, Position, Profile, Publication};
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use thiserror::Error;

/// More than the bytes that tell a subscriber where it begins.
const BACKLOG_START_MAX: usize = 128;

/// More than the bytes that stand in front of one publication: a frame's head, an offset, a time.
const BACKLOG_HEAD_MAX: usize = 64;

/// What a subscriber gets first.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Since {
    /// What is published from now on.
    #[default]
    Now,
    /// The newest publications, as many as there are up to this number.
    Newest(usize),
    /// What was published after a position that it has.
    After {
        /// The position.
        position: Position,
        /// When not everything is there: the newest publications, as many as there are up to this number.
        or_newest: usize,
    },
    /// What was published after an offset of an incarnation that it does not name.
    Offset(u64),
}

impl Since {
    /// Leaves out lines that were not missed.
    pub fn without_newest(self) -> Self {
        match self {
            Self::Now | Self::Newest(_) => Self::Now,
            Self::After { position, .. } => Self::After { position, or_newest: 0 },
            Self::Offset(offset) => Self::Offset(offset),
        }
    }
}

/// How a connection subscribes.
#[derive(Clone, Debug, Default)]
pub struct SubscribeOptions {
    /// What it gets first.
    pub since: Since,
    /// How it gets its messages, as it was connected.
    pub shape: MessageShape,
    /// What the channel follows from here on.
    pub channel: Arc<ChannelOptions>,
    /// Now, in microseconds since 1970.
    pub now: u64,
    /// Most bytes that it gets first.
    pub bytes_max: usize,
    /// What others may know of the client; `None` for an anonymous one.
    pub info: Option<Arc<Profile>>,
}

/// A subscription that was made.
#[derive(Clone, Debug)]
pub struct Subscribed {
    /// The channel.
    pub channel: Arc<Channel>,
    /// Where the subscriber begins.
    pub start: Start,
}

/// There is no place for a subscription.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Full {
    /// The channel does not exist and would be one too many.
    #[error(transparent)]
    Directory(#[from] DirectoryFull),
    /// The channel has all the subscribers that it may have.
    #[error("the channel has {max} subscribers, its limit; try again later or raise subscribers_max")]
    Channel {
        /// The limit, `subscribers_max`.
        max: u32,
    },
}

/// Why a subscription was not made.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum SubscribeError {
    /// There is no place for it.
    #[error(transparent)]
    Full(#[from] Full),
    /// The credit does not pay for what the subscriber gets first: try again with one for so many bytes.
    #[error("subscribing takes a credit for {bytes} bytes")]
    Credit {
        /// Bytes to pay for.
        bytes: usize,
    },
    /// It does not want to begin where it would, see [`Opening`].
    #[error("the position cannot be recovered")]
    Declined,
}

/// Makes the frames of where a subscriber begins and what it gets first; `None` if it does not want to begin like that.
pub type EncodeOpening<'a> = &'a (dyn Fn(Start, &mut dyn Iterator<Item = Publication>) -> Option<Bytes> + Send + Sync);

/// What a subscriber gets first instead of what its encoding says: a reply of its protocol.
pub struct Opening<'a> {
    /// Makes its frames.
    pub encode: EncodeOpening<'a>,
    /// Pays for them.
    pub permit: ReplyPermit,
}

/// What one attempt under the lock came to.
enum Attempt<'a, S> {
    Done(Start, bool),
    /// The channel has all the subscribers that it may have.
    Full,
    /// The channel was closed meanwhile.
    Closed(Credit<'a, S>),
    Credit(usize),
    Declined,
}

impl fmt::Debug for Opening<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").field("permit", &self.permit).finish_non_exhaustive()
    }
}

impl<S: Sink> Hub<S> {
    /// Subscribes a connection to the channel of that name.
    ///
    /// # Errors
    ///
    /// [`SubscribeError`] when the hub has too many channels, or the channel too many subscribers, or the credit is too
    /// small.
    pub fn subscribe(
        &self,
        id: ConnectionId,
        name: &ChannelName,
        options: &SubscribeOptions,
        credit: Credit<'_, S>,
    ) -> Result<Subscribed, SubscribeError> {
        self.subscribe_with(id, name, options, None, credit)
    }

    /// Subscribes a connection to the channel of that name, which gets this opening first.
    ///
    /// # Errors
    ///
    /// As [`Hub::subscribe`].
    pub fn subscribe_with(
        &self,
        id: ConnectionId,
        name: &ChannelName,
        options: &SubscribeOptions,
        mut opening: Option<Opening<'_>>,
        mut credit: Credit<'_, S>,
    ) -> Result<Subscribed, SubscribeError> {
        loop {
            let channel = self.parts.directory.open(name, &options.channel).map_err(Full::from)?;
            // The push is under the lock: the subscription stands in the inbox where it stands in the order.
            let attempt = self.change_members(&channel, |order| {
                let Parts { history, directory, .. } = &*self.parts;
                order.follow(&options.channel, history, || directory.origin(name, &options.channel));
                self.catch_up(order, name);
                order.expire_history(options.now, history);
                let was_vacant = order.shards().is_empty();
                let attempt = add_subscriber(order, id, &channel, options, &mut opening, credit);
                if let Attempt::Done(..) = attempt {
                    if was_vacant {
                        self.observe(Change::Occupied(name));
                    }
                    self.observe(Change::Subscribed(id, name));
                }
                attempt
            });
            match attempt {
                Attempt::Done(start, is_change) => {
                    if is_change {
                        self.parts.changes.note(&channel);
                    }
                    let process = &self.metrics().process;
                    match start.is_recovered {
                        Some(true) => Metrics::count(&process.recoveries),
                        Some(false) => Metrics::count(&process.recoveries_incomplete),
                        None => {}
                    }
                    return Ok(Subscribed { channel, start });
                }
                Attempt::Full => {
                    let max = options.channel.subscribers_max();
                    return Err(SubscribeError::Full(Full::Channel { max }));
                }
                Attempt::Declined => return Err(SubscribeError::Declined),
                Attempt::Credit(bytes) => return Err(SubscribeError::Credit { bytes }),
                Attempt::Closed(unspent) => credit = unspent,
            }
            // The last subscriber left between the look-up and the lock.
            self.parts.directory.forget(&channel);
        }
    }

    /// Removes a connection from a channel; its shard is told, and what it has not got yet is dropped.
    pub fn unsubscribe(&self, id: ConnectionId, channel: &Arc<Channel>, credit: Credit<'_, S>) {
        let removed = self.change_members(channel, |order| {
            credit.push(Command::Unsubscribe { id, channel: channel.key() });
            self.remove(order, id, channel)
        });
        self.settle_removal(channel, &removed);
    }

    /// Removes a connection that ends from the counts of a channel; its shard removes the subscription when it
    /// disconnects.
    pub fn leave(&self, id: ConnectionId, channel: &Arc<Channel>) {
        let removed = self.change_members(channel, |order| self.remove(order, id, channel));
        self.settle_removal(channel, &removed);
    }

    /// Lets channels follow the options that `find` returns for their names; without any a channel keeps those it has.
    pub fn follow_options(&self, find: impl Fn(&ChannelName) -> Option<Arc<ChannelOptions>>) {
        let Parts { directory, history, .. } = &*self.parts;
        for channel in directory.channels() {
            if let Some(options) = find(channel.name()) {
                self.change_members(&channel, |order| {
                    order.follow(&options, history, || directory.origin(channel.name(), &options));
                });
            }
        }
    }

    /// Changes who is in a channel, at one point of its order.
    pub(super) fn change_members<R>(&self, channel: &Arc<Channel>, change: impl FnOnce(&mut Order) -> R) -> R {
        let (before, after, result) = channel.in_order(|order| {
            let before = order.known_members();
            let result = change(order);
            (before, order.known_members(), result)
        });
        Metrics::change(&self.metrics().process.presence_members, before, after);
        result
    }

    fn remove(&self, order: &mut Order, id: ConnectionId, channel: &Channel) -> Removed {
        let removed = order.remove(id);
        self.observe(Change::Unsubscribed(id, channel.name()));
        if order.shards().is_empty() {
            self.observe(Change::Vacated(channel.name()));
        }
        removed
    }

    fn settle_removal(&self, channel: &Arc<Channel>, removed: &Removed) {
        match removed {
            Removed::Last => self.parts.directory.forget(channel),
            Removed::One { is_change: true } => self.parts.changes.note(channel),
            Removed::One { is_change: false } => {}
        }
    }
}

/// Adds a connection to a channel's order and tells its shard, which gets the command where the subscription stands in
/// the order.
fn add_subscriber<'a, S: Sink>(
    order: &mut Order,
    id: ConnectionId,
    channel: &Arc<Channel>,
    options: &SubscribeOptions,
    opening: &mut Option<Opening<'_>>,
    mut credit: Credit<'a, S>,
) -> Attempt<'a, S> {
    if order.is_closed {
        return Attempt::Closed(credit);
    }
    if !order.has_room(&options.channel) {
        return Attempt::Full;
    }
    let (backlog, start) = match begin(order, channel.name(), options, opening.as_ref(), |bytes| credit.covers(bytes)) {
        Ok(Some(begun)) => begun,
        Ok(None) => return Attempt::Declined,
        Err(bytes) => return Attempt::Credit(bytes),
    };
    // What stands in front of data, and its escapes, may be longer than was reckoned with.
    if !credit.covers(backlog.wire.len()) {
        return Attempt::Credit(backlog.wire.len());
    }
    credit.shrink(backlog.wire.len());
    let encoding = options.shape.encoding;
    let count = encoding.tells_occupancy() && options.channel.tells_occupancy();
    let told = Told { count, events: encoding.tells_presence() };
    let is_change = order.add(id, Newcomer { told, info: &options.info });
    let permit = opening.take().map(|opening| opening.permit);
    credit.push(Command::Subscribe { id, channel: Arc::clone(channel), backlog, permit });
    Attempt::Done(start, is_change)
}

/// Returns what a subscriber gets first, and where it begins; fails with the bytes that it takes when these are not
/// `paid`, and returns nothing if it does not want to begin like that.
fn begin(
    order: &Order,
    channel: &ChannelName,
    options: &SubscribeOptions,
    opening: Option<&Opening<'_>>,
    paid: impl FnOnce(usize) -> bool,
) -> Result<Option<(Backlog, Start)>, usize> {
    let tells_position = options.channel.options.recovery || options.channel.options.positioning;
    let position = order.position().filter(|_| tells_position);
    let recoverable = order.history.as_ref().and_then(|history| recoverable(history, options));
    let is_recovery = matches!(options.since, Since::After { .. } | Since::Offset(_));
    let is_recovered = is_recovery.then_some(recoverable.is_some());
    let count = match &order.history {
        Some(history) => recoverable.unwrap_or_else(|| newest(history, options)),
        None => 0,
    };
    let start = Start { position, publications: count, is_recovered };
    let MessageShape { encoding, is_split, .. } = options.shape;
    let encode = |publications: &mut dyn Iterator<Item = Publication>| match opening {
        Some(opening) => (opening.encode)(start, publications).map(|wire| Backlog { wire, publications: count }),
        None => Some(encoding.backlog(channel, start, publications, is_split)),
    };
    let Some(history) = order.history.as_ref().filter(|_| count > 0) else {
        return Ok(encode(&mut std::iter::empty()).map(|backlog| (backlog, start)));
    };
    let bytes = BACKLOG_START_MAX + history.newest_bytes(count) + count * BACKLOG_HEAD_MAX;
    if !paid(bytes) {
        return Err(bytes);
    }
    Ok(encode(&mut history.newest(count)).map(|backlog| (backlog, start)))
}

/// Returns how many of the newest publications are all that a subscriber missed; `None` when not all are here, or when
/// they are too many.
fn recoverable(history: &History, options: &SubscribeOptions) -> Option<usize> {
    let (epoch, offset) = match options.since {
        Since::After { position, .. } => (position.epoch, position.offset),
        Since::Offset(offset) => (history.epoch(), offset),
        Since::Now | Since::Newest(_) => return None,
    };
    if epoch != history.epoch() || !options.channel.options.recovery {
        return None;
    }
    let missed = history.count_since(offset)?;
    (missed <= RECOVERED_MAX && history.fitting(missed, options.bytes_max) == missed).then_some(missed)
}

/// Returns how many of the newest publications a subscriber gets that asked for some.
fn newest(history: &History, options: &SubscribeOptions) -> usize {
    let wanted = match options.since {
        Since::Now | Since::Offset(_) => 0,
        Since::Newest(wanted) | Since::After { or_newest: wanted, .. } => wanted,
    };
    history.fitting(wanted.min(RECOVERED_MAX), options.bytes_max)
}
