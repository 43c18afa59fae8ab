//! Delivering: what the log of a partition brings gets to subscribers and into histories, under the number that it has
//! there.
//!
//! One task calls this for a partition, in the order of its log, so that
//! [`applied`](super::Partition::applied) says what has been done.
//!
//! # What was lost
//!
//! A publication that cannot be had any more is never left out silently. [`Hub::declare_gap`] says so for one channel;
//! [`Hub::lose`] and [`Hub::renew_epoch`] begin it for a whole partition, and [`Hub::tell_gap`] then tells each of its
//! channels. Subscribers learn of it in the order of the channel, and histories forget what is before it.

use super::channel::{Channel, Order};
use super::history::{History, HistoryOptions, Kept, Logged};
use super::partition::Partition;
use super::{Command, Credits, Hub, NoCredit, Sink};
use crate::config::ChannelOptions;
use crate::protocol::{ChannelName, Epoch};
use std::sync::Arc;

/// What became of a publication of the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Delivered {
    /// Subscribers get it.
    ToSubscribers,
    /// Nobody is subscribed here, and the history keeps it.
    ToHistory,
    /// Nobody is subscribed here, and the channel keeps nothing.
    Foreign,
    /// It should be kept, and the hub has all the channels that it may have. Histories say that it is missing.
    NotKept,
}

impl<S: Sink> Hub<S> {
    /// Delivers a publication that has its number already, and raises `applied` to it. One that is not new is dropped.
    ///
    /// # Errors
    ///
    /// [`NoCredit`] when a shard has no room: nothing was delivered; wait for its credits and call again.
    pub fn deliver(
        &self,
        name: &ChannelName,
        options: &Arc<ChannelOptions>,
        logged: &Logged,
        credits: &mut Credits<'_, S>,
    ) -> Result<Delivered, NoCredit> {
        let offset = logged.publication.offset;
        let is_kept = HistoryOptions::of(options).is_on();
        let is_full = is_kept && self.parts.directory.open(name, options).is_err();
        let note = |partition: &Partition| {
            if is_full {
                partition.raise_floor(offset);
            }
            partition.follow_revision(options.revision);
        };
        let done = self.apply(name, offset, note, |channel, order| self.deliver_in(order, channel, logged, credits))?;
        let Some((channel, (delivered, kept))) = done else {
            return Ok(if is_full { Delivered::NotKept } else { Delivered::Foreign });
        };
        kept.into_iter().for_each(|kept| self.settle(&channel, kept));
        Ok(delivered)
    }

    /// Drops what a channel keeps, because the log says so at this sequence number, and raises `applied` to it.
    pub fn remove_history_at(&self, name: &ChannelName, offset: u64) {
        let note = |partition: &Partition| partition.raise_floor(offset);
        let done = self.apply(name, offset, note, |_, order| {
            order.advance(offset);
            order.change_history(&self.parts.history, History::clear);
            Ok(order.close_if_unused())
        });
        if let Ok(Some((channel, true))) = done {
            self.parts.directory.forget(&channel);
        }
    }

    /// Declares that publications of a channel up to this sequence number cannot be had any more, although everything
    /// else before it was delivered. Raises `applied` to it.
    ///
    /// # Errors
    ///
    /// [`NoCredit`] when a shard has no room: nothing was declared; wait for its credits and call again.
    pub fn declare_gap(&self, name: &ChannelName, upto: u64, credits: &mut Credits<'_, S>) -> Result<(), NoCredit> {
        let note = |partition: &Partition| partition.raise_floor(upto);
        self.apply(name, upto, note, |channel, order| {
            self.push_gap(order, channel, credits)?;
            order.advance(upto);
            order.change_history(&self.parts.history, |history| history.raise_floor(upto));
            Ok(())
        })?;
        Ok(())
    }

    /// Begins to declare that nothing of a partition up to this sequence number can be had any more, or was followed.
    /// Returns its channels: [tell](Self::tell_gap) each of them, then raise `applied` to it.
    pub fn lose(&self, partition: &Partition, upto: u64) -> Vec<Arc<Channel>> {
        partition.raise_floor(upto);
        self.parts.directory.channels_of(partition)
    }

    /// Begins another incarnation of a partition, whose log is followed from after this sequence number. Returns its
    /// channels: [tell](Self::tell_gap) each of them before anything is delivered.
    pub fn renew_epoch(&self, partition: &Partition, epoch: Epoch, after: u64) -> Vec<Arc<Channel>> {
        partition.renew(epoch, after);
        self.parts.directory.channels_of(partition)
    }

    /// Declares to the subscribers of a channel what its partition has lost, see [`Hub::lose`] and
    /// [`Hub::renew_epoch`].
    ///
    /// # Errors
    ///
    /// [`NoCredit`] when a shard has no room: nothing was told; wait for its credits and call again.
    pub fn tell_gap(&self, channel: &Arc<Channel>, credits: &mut Credits<'_, S>) -> Result<(), NoCredit> {
        let Some(partition) = self.parts.directory.partition(channel.name()) else { return Ok(()) };
        let origin = partition.origin();
        channel.in_order(|order| {
            self.push_gap(order, channel, credits)?;
            let is_same = order.history.as_ref().is_none_or(|history| history.epoch() == origin.epoch);
            order.change_history(&self.parts.history, |history| {
                if is_same {
                    history.raise_floor(partition.floor());
                    history.forget_backfill();
                } else {
                    history.renew(origin);
                }
            });
            order.offset = partition.applied().max(partition.floor());
            Ok(())
        })
    }

    /// Does what the log says of a channel at this sequence number, under its lock, and raises `applied` to it. Where
    /// there is no such channel, runs `note` instead, while nobody can open it: one that is opened later sees both.
    fn apply<R>(
        &self,
        name: &ChannelName,
        offset: u64,
        note: impl Fn(&Partition),
        mut change: impl FnMut(&Channel, &mut Order) -> Result<R, NoCredit>,
    ) -> Result<Option<(Arc<Channel>, R)>, NoCredit> {
        let directory = &self.parts.directory;
        let Some(partition) = directory.partition(name) else { return Ok(None) };
        loop {
            let channel = directory.get_or_note(name, || {
                partition.set_applied(offset);
                note(partition);
            });
            let Some(channel) = channel else { return Ok(None) };
            let done = channel.in_order(|order| (!order.is_closed).then(|| change(&channel, order)).transpose())?;
            if let Some(result) = done {
                partition.set_applied(offset);
                return Ok(Some((channel, result)));
            }
            // It was closed between the look-up and the lock.
            directory.forget(&channel);
        }
    }

    fn deliver_in(
        &self,
        order: &mut Order,
        channel: &Channel,
        logged: &Logged,
        credits: &mut Credits<'_, S>,
    ) -> Result<(Delivered, Option<Kept>), NoCredit> {
        let publication = &logged.publication;
        if publication.offset <= order.offset {
            return Ok((Delivered::Foreign, None));
        }
        for shard in order.shards().without(credits.held).iter() {
            credits.try_take(shard)?;
        }
        order.offset = publication.offset;
        for shard in order.shards().iter() {
            credits.held.remove(shard);
            let (channel, publication) = (channel.key(), publication.clone());
            self.inbox(shard).push_paid(Command::Publish { channel, publication });
        }
        let kept = order.history.as_mut().map(|history| history.keep_logged(logged, &self.parts.history));
        let delivered = match (order.shards().is_empty(), kept) {
            (false, _) => Delivered::ToSubscribers,
            (true, Some(_)) => Delivered::ToHistory,
            (true, None) => Delivered::Foreign,
        };
        Ok((delivered, kept))
    }

    fn push_gap(&self, order: &Order, channel: &Channel, credits: &mut Credits<'_, S>) -> Result<(), NoCredit> {
        for shard in order.shards().without(credits.held).iter() {
            credits.try_take(shard)?;
        }
        for shard in order.shards().iter() {
            credits.held.remove(shard);
            self.inbox(shard).push_paid(Command::DeclareGap { channel: channel.key() });
        }
        Ok(())
    }
}
