//! The hub: a cloneable handle to all shards, which routes what connections ask.
//!
//! Nothing here awaits. What would have to wait says for which shard, and the session waits for that shard's credits.

use super::channel::{Channel, Order, ShardSet};
use super::command::Publication;
use super::directory::{Directory, DirectoryFull};
use super::inbox::Inbox;
use super::placement::{Placement, SlotReservation};
use super::{Command, ConnectionId, Shard, Sink};
use crate::config::{Limits, Tuning};
use crate::metrics::Metrics;
use crate::protocol::channel_name::ChannelName;
use crate::protocol::{CloseReason, Encoding};
use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{AcquireError, SemaphorePermit};

/// A handle to all shards.
pub struct Hub<S: Sink> {
    parts: Arc<Parts<S>>,
}

struct Parts<S: Sink> {
    inboxes: Box<[Arc<Inbox<S>>]>,
    directory: Directory,
    placement: Arc<Placement>,
    metrics: Arc<Metrics>,
    limits: ArcSwap<Limits>,
    tuning: Tuning,
}

/// A publication has to wait until this shard has room for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Blocked {
    /// Index of the shard.
    pub shard: usize,
}

impl<S: Sink> Hub<S> {
    /// Returns a hub with the default tuning, and its shards, which the caller drives.
    pub fn new(limits: &Limits, metrics: Arc<Metrics>) -> (Self, Vec<Shard<S>>) {
        Self::tuned(limits, &Tuning::default(), metrics)
    }

    /// Returns a hub and its shards, which the caller drives.
    pub fn tuned(limits: &Limits, tuning: &Tuning, metrics: Arc<Metrics>) -> (Self, Vec<Shard<S>>) {
        let count = metrics.shards().len();
        let parts = Parts {
            inboxes: (0..count).map(|_| Arc::new(Inbox::new())).collect(),
            directory: Directory::new(limits.channels_max),
            placement: Arc::new(Placement::new(count, limits.connections_max)),
            metrics,
            limits: ArcSwap::from_pointee(limits.clone()),
            tuning: tuning.clone(),
        };
        let hub = Self { parts: Arc::new(parts) };
        let shards = (0..count).map(|index| hub.shard(index)).collect();
        (hub, shards)
    }

    /// Returns an empty shard that takes over the inbox of the one that failed.
    pub fn shard(&self, index: usize) -> Shard<S> {
        let parts = &*self.parts;
        let metrics = Arc::clone(&parts.metrics.shards()[index]);
        Shard::new(
            (index, parts.inboxes.len()),
            (&parts.limits.load(), &parts.tuning),
            Arc::clone(&parts.inboxes[index]),
            Arc::clone(&parts.placement),
            metrics,
        )
    }

    /// Returns the queue into a shard.
    pub fn inbox(&self, shard: usize) -> &Inbox<S> {
        &self.parts.inboxes[shard]
    }

    /// Returns which slots are taken.
    pub fn placement(&self) -> &Placement {
        &self.parts.placement
    }

    /// Returns which channels exist.
    pub fn directory(&self) -> &Directory {
        &self.parts.directory
    }

    /// Returns the limits that hold now. Load them once per batch, and do not keep the guard.
    pub fn limits(&self) -> Guard<Arc<Limits>> {
        self.parts.limits.load()
    }

    /// Lets new limits hold for who asks from now on; each shard has to be [told](Self::tell_limits).
    pub fn reconfigure(&self, limits: &Arc<Limits>) {
        self.parts.limits.store(Arc::clone(limits));
        self.parts.directory.set_max(limits.channels_max);
        self.parts.placement.set_max(limits.connections_max);
    }

    /// Has a shard keep to new limits.
    pub fn tell_limits(&self, shard: usize, limits: &Arc<Limits>, credit: SemaphorePermit<'_>) {
        self.inbox(shard).push(credit, Command::Limits(Arc::clone(limits)));
    }

    /// Returns the tuning that the hub was made with.
    pub fn tuning(&self) -> &Tuning {
        &self.parts.tuning
    }

    /// Returns the counters of the process.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.parts.metrics
    }

    /// Takes a place on the least loaded shard; `None` when the hub is full.
    pub fn reserve_slot(&self) -> Option<SlotReservation> {
        self.parts.placement.take()
    }

    /// Hands the write side of a connection to its shard.
    pub fn connect(&self, seat: SlotReservation, sink: S, credit: SemaphorePermit<'_>) -> ConnectionId {
        let id = seat.occupy();
        self.inbox(id.shard()).push(credit, Command::Connect { id, sink });
        id
    }

    /// Subscribes a connection to the channel of that name: it gets everything published from here on.
    ///
    /// # Errors
    ///
    /// [`DirectoryFull`] when the channel does not exist and would be one too many.
    pub fn subscribe(
        &self,
        id: ConnectionId,
        name: &ChannelName,
        encoding: Encoding,
        mut credit: SemaphorePermit<'_>,
    ) -> Result<Arc<Channel>, DirectoryFull> {
        loop {
            let channel = self.parts.directory.open(name, encoding)?;
            // The push is under the lock: the subscription stands in the inbox where it stands in the order.
            credit = match channel.in_order(|order| self.join(order, id, &channel, credit)) {
                Ok(()) => return Ok(channel),
                Err(credit) => credit,
            };
            // The last subscriber left between the look-up and the lock.
            self.parts.directory.forget(&channel);
        }
    }

    fn join<'c>(
        &self,
        order: &mut Order,
        id: ConnectionId,
        channel: &Arc<Channel>,
        credit: SemaphorePermit<'c>,
    ) -> Result<(), SemaphorePermit<'c>> {
        if order.is_closed {
            return Err(credit);
        }
        order.join(id);
        let command = Command::Subscribe { id, channel: Arc::clone(channel) };
        self.inbox(id.shard()).push(credit, command);
        Ok(())
    }

    /// Takes a connection out of a channel's counts; its shard forgets the subscription when it disconnects.
    pub fn unsubscribe(&self, id: ConnectionId, channel: &Arc<Channel>) {
        if channel.in_order(|order| order.part(id)) {
            self.parts.directory.forget(channel);
        }
    }

    /// Returns an empty purse for the credits of one publication of that many bytes.
    pub fn credits(&self, bytes: usize) -> Credits<'_, S> {
        Credits { hub: self, held: ShardSet::default(), cost: Inbox::<S>::cost(bytes), at: 0 }
    }

    /// Publishes to every subscriber of a channel and returns the publication's number in it.
    ///
    /// # Hot path
    ///
    /// Once per message: one lock, and one credit and one push per shard with subscribers. Nothing here depends on the
    /// number of subscribers. See `benches/inbox.rs`.
    ///
    /// # Errors
    ///
    /// [`Blocked`] when a shard has no room: nothing was published; wait for its credits and call again.
    pub fn publish(&self, channel: &Channel, body: &Bytes, credits: &mut Credits<'_, S>) -> Result<u64, Blocked> {
        channel.in_order(|order| {
            for shard in order.shards().without(credits.held).iter() {
                credits.try_take(shard)?;
            }
            order.offset += 1;
            let publication =
                Publication { channel: channel.key(), offset: order.offset, at: credits.at, body: body.clone() };
            for shard in order.shards().iter() {
                credits.held.remove(shard);
                self.inbox(shard).push_paid(Command::Publish(publication.clone()));
            }
            Ok(order.offset)
        })
    }

    /// Closes that many connections of a shard, each after its backlog.
    pub fn close_some(&self, shard: usize, count: usize, reason: CloseReason, credit: SemaphorePermit<'_>) {
        self.inbox(shard).push(credit, Command::CloseSome { count, reason });
    }

    /// Has a shard close those who keep the older half of a large log.
    pub fn close_slowest(&self, shard: usize, credit: SemaphorePermit<'_>) {
        self.inbox(shard).push(credit, Command::CloseSlowest);
    }

    /// Closes every connection of a shard, each after its backlog.
    pub fn close_all(&self, shard: usize, reason: CloseReason, credit: SemaphorePermit<'_>) {
        self.inbox(shard).push(credit, Command::CloseAll { reason });
    }

    /// Returns the number of shards.
    pub fn shards(&self) -> usize {
        self.parts.inboxes.len()
    }
}

impl<S: Sink> Clone for Hub<S> {
    fn clone(&self) -> Self {
        Self { parts: Arc::clone(&self.parts) }
    }
}

impl<S: Sink> fmt::Debug for Hub<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("shards", &self.shards()).finish_non_exhaustive()
    }
}

/// The credits for one publication, collected shard by shard; what is not spent goes back.
pub struct Credits<'a, S: Sink> {
    hub: &'a Hub<S>,
    held: ShardSet,
    cost: u32,
    at: u64,
}

impl<'a, S: Sink> Credits<'a, S> {
    /// Notes when the publication arrived, as time since the [start](Metrics::started): its latency counts from then.
    pub fn arrived(mut self, at: Duration) -> Self {
        self.at = u64::try_from(at.as_micros()).unwrap_or(u64::MAX).max(1);
        self
    }

    fn try_take(&mut self, shard: usize) -> Result<(), Blocked> {
        let Some(permit) = self.hub.inbox(shard).try_take(self.cost) else {
            self.release_above(shard);
            return Err(Blocked { shard });
        };
        self.keep(shard, permit);
        Ok(())
    }

    /// Credits are waited for in the order of the shards only: two publishers that each held what the other waits for
    /// would wait for ever.
    fn release_above(&mut self, shard: usize) {
        for above in self.held.iter().filter(|held| *held > shard) {
            self.hub.inbox(above).refund(self.cost as usize);
            self.held.remove(above);
        }
    }

    /// Returns a future for the credits of one shard; give what it returns to [`Credits::keep`].
    ///
    /// # Errors
    ///
    /// None in practice, see [`Inbox::take`].
    ///
    /// # Cancel safety
    ///
    /// Dropping it costs nothing.
    pub fn wait(&self, shard: usize) -> impl Future<Output = Result<SemaphorePermit<'a>, AcquireError>> + use<'a, S> {
        self.hub.inbox(shard).take(self.cost)
    }

    /// Keeps the credits of a shard for the next attempt.
    pub fn keep(&mut self, shard: usize, permit: SemaphorePermit<'_>) {
        permit.forget();
        self.held.insert(shard);
    }
}

impl<S: Sink> Drop for Credits<'_, S> {
    fn drop(&mut self) {
        for shard in self.held.iter() {
            self.hub.inbox(shard).refund(self.cost as usize);
        }
    }
}

impl<S: Sink> fmt::Debug for Credits<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credits").field("held", &self.held).field("cost", &self.cost).finish_non_exhaustive()
    }
}
