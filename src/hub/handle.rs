//! The hub: a cloneable handle to all shards.
//!
//! Nothing here awaits. A publication that would have to wait says for which shard, and the session waits for credits
//! of that shard.

use super::channel::{Channel, Order, ShardSet};
use super::command::Publication;
use super::directory::{Directory, DirectoryFull};
use super::inbox::{Credit, Inbox};
use super::placement::{Placement, SlotReservation};
use super::shard::ShardParts;
use super::{Command, ConnectionId, Shard, Sink};
use crate::config::{ChannelOptions, HubLimits, SocketLimits, TuningConfig};
use crate::metrics::Metrics;
use crate::protocol::Encoding;
use crate::protocol::channel_name::ChannelName;
use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// A handle to all shards. Cloning counts a reference.
///
/// The hub does no I/O. Here its only connection writes to a vector, and the caller runs the passes that
/// [`net`](crate::net) runs in production:
///
/// ```
/// use std::io::IoSlice;
/// use std::sync::{Arc, Mutex};
/// use std::task::{Poll, Waker};
/// use std::time::Duration;
/// use throng::config::HubLimits;
/// use throng::hub::{Hub, Sent, Sink};
/// use throng::metrics::Metrics;
/// use throng::protocol::{ChannelName, Encoding, chat};
///
/// #[derive(Clone, Default)]
/// struct Memory(Arc<Mutex<Vec<u8>>>);
///
/// impl Sink for Memory {
///     fn send(&mut self, bytes: &[u8]) -> Sent {
///         self.0.lock().unwrap().extend_from_slice(bytes);
///         Sent::All
///     }
///
///     fn send_vectored(&mut self, slices: &[IoSlice<'_>]) -> Sent {
///         slices.iter().for_each(|slice| _ = self.send(slice));
///         Sent::All
///     }
///
///     fn poll_writable(&mut self, _: &Waker) -> Poll<()> {
///         Poll::Ready(())
///     }
///
///     fn finish(&mut self) {}
///     fn abort(&mut self) {}
/// }
///
/// let (hub, mut shards) = Hub::new(&HubLimits::default(), Arc::new(Metrics::new(1)));
/// let credit = || hub.inbox(0).try_credit(1).expect("the inbox has room");
///
/// let (slot, sink) = (hub.reserve_slot().expect("the hub has room"), Memory::default());
/// let id = hub.connect(slot, sink.clone(), credit());
/// let lobby = hub.subscribe(id, &ChannelName::parse("lobby")?, Encoding::Lines, credit())?;
/// let line = chat::line(b"hello")?;
/// hub.publish(&lobby, &line, &mut hub.credits(line.len())).expect("the inbox has room");
///
/// // One pass of the only shard takes the commands and writes.
/// shards[0].begin_pass(Duration::ZERO);
/// while shards[0].step() {}
/// shards[0].end_pass(Duration::ZERO);
/// assert_eq!(*sink.0.lock().unwrap(), b"\x81\x05hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Hub<S: Sink> {
    parts: Arc<Parts<S>>,
}

struct Parts<S: Sink> {
    inboxes: Box<[Arc<Inbox<S>>]>,
    directory: Directory,
    placement: Arc<Placement>,
    metrics: Arc<Metrics>,
    limits: ArcSwap<HubLimits>,
    socket_limits: ArcSwap<SocketLimits>,
    tuning: TuningConfig,
    default_options: Arc<ChannelOptions>,
}

/// Why a connection was not subscribed.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum SubscribeError {
    /// The channel would be one too many.
    #[error(transparent)]
    Directory(#[from] DirectoryFull),
    /// The channel has all the subscribers that it may have.
    #[error("the channel has {max} subscribers, its limit; try again later or raise subscribers_max")]
    ChannelFull {
        /// The limit, `subscribers_max`.
        max: u32,
    },
}

/// A shard has no room for a publication: wait for its credits, see [`Credits::wait`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoCredit {
    /// Index of the shard.
    pub shard: usize,
}

impl<S: Sink> Hub<S> {
    /// Returns a hub with the default tuning, and its shards, which the caller drives.
    pub fn new(limits: &HubLimits, metrics: Arc<Metrics>) -> (Self, Vec<Shard<S>>) {
        Self::tuned(limits, &TuningConfig::default(), metrics)
    }

    /// Returns a hub and its shards, which the caller drives. The limits of sockets are the defaults at first.
    pub fn tuned(limits: &HubLimits, tuning: &TuningConfig, metrics: Arc<Metrics>) -> (Self, Vec<Shard<S>>) {
        let count = metrics.shards().len();
        let parts = Parts {
            inboxes: (0..count).map(|shard| Arc::new(Inbox::new(shard))).collect(),
            directory: Directory::new(limits.channels_max),
            placement: Arc::new(Placement::new(count, limits.connections_max)),
            metrics,
            limits: ArcSwap::from_pointee(limits.clone()),
            socket_limits: ArcSwap::from_pointee(SocketLimits::default()),
            tuning: tuning.clone(),
            default_options: Arc::default(),
        };
        let hub = Self { parts: Arc::new(parts) };
        let shards = (0..count).map(|index| hub.shard(index)).collect();
        (hub, shards)
    }

    /// Returns an empty shard that takes over the inbox of the one that failed.
    pub fn shard(&self, index: usize) -> Shard<S> {
        let parts = &*self.parts;
        let metrics = Arc::clone(&parts.metrics.shards()[index]);
        Shard::new(ShardParts {
            index,
            connections_expected: parts.limits.load().connections_max.div_ceil(parts.inboxes.len()),
            limits: &parts.limits.load(),
            tuning: &parts.tuning,
            inbox: Arc::clone(&parts.inboxes[index]),
            placement: Arc::clone(&parts.placement),
            metrics,
        })
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

    /// Returns the limits of sockets. Load them once per batch, and do not keep the guard.
    ///
    /// The hub does not read them: every session has this handle, so it carries them to where bytes arrive.
    pub fn socket_limits(&self) -> Guard<Arc<SocketLimits>> {
        self.parts.socket_limits.load()
    }

    /// Sets new limits of sockets, for open ones too.
    pub fn set_socket_limits(&self, limits: SocketLimits) {
        self.parts.socket_limits.store(Arc::new(limits));
    }

    /// Sets new limits for everything that reads them here. Each shard has its own copy: send it [`Command::Limits`].
    pub fn reconfigure(&self, limits: &Arc<HubLimits>) {
        self.parts.limits.store(Arc::clone(limits));
        self.parts.directory.set_max(limits.channels_max);
        self.parts.placement.set_max(limits.connections_max);
    }

    /// Returns the tuning that the hub was made with.
    pub fn tuning(&self) -> &TuningConfig {
        &self.parts.tuning
    }

    /// Returns the counters of the process.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.parts.metrics
    }

    /// Reserves a slot on the least loaded shard; `None` when the hub is full.
    pub fn reserve_slot(&self) -> Option<SlotReservation> {
        self.parts.placement.take()
    }

    /// Hands the write side of a connection to its shard.
    pub fn connect(&self, slot: SlotReservation, sink: S, credit: Credit<'_, S>) -> ConnectionId {
        let id = slot.occupy();
        debug_assert_eq!(credit.shard(), id.shard(), "the credit is for the shard of the slot");
        credit.push(Command::Connect { id, sink });
        id
    }

    /// Returns the options of channels that belong to no namespace, such as those of the echo protocol.
    pub fn default_options(&self) -> &Arc<ChannelOptions> {
        &self.parts.default_options
    }

    /// Subscribes a connection as [`Hub::subscribe_with`] does, with the default options.
    ///
    /// # Errors
    ///
    /// [`SubscribeError`] when there are too many channels.
    pub fn subscribe(
        &self,
        id: ConnectionId,
        name: &ChannelName,
        encoding: Encoding,
        credit: Credit<'_, S>,
    ) -> Result<Arc<Channel>, SubscribeError> {
        self.subscribe_with(id, name, encoding, self.default_options(), credit)
    }

    /// Subscribes a connection to the channel of that name: it gets everything published from here on. From here on the
    /// channel follows these options.
    ///
    /// # Errors
    ///
    /// [`SubscribeError`] when the channel does not exist and would be one too many, or has too many subscribers.
    pub fn subscribe_with(
        &self,
        id: ConnectionId,
        name: &ChannelName,
        encoding: Encoding,
        options: &Arc<ChannelOptions>,
        mut credit: Credit<'_, S>,
    ) -> Result<Arc<Channel>, SubscribeError> {
        loop {
            let channel = self.parts.directory.open(name, encoding, options)?;
            // The push is under the lock: the subscription stands in the inbox where it stands in the order.
            credit = match channel.in_order(|order| add_subscriber(order, id, &channel, options, credit)) {
                Added::Yes => return Ok(channel),
                Added::Full => return Err(SubscribeError::ChannelFull { max: options.subscribers_max() }),
                Added::Closed(credit) => credit,
            };
            // The last subscriber left between the look-up and the lock.
            self.parts.directory.forget(&channel);
        }
    }

    /// Removes a connection from the counts of a channel; its shard removes the subscription when it disconnects.
    pub fn unsubscribe(&self, id: ConnectionId, channel: &Arc<Channel>) {
        if channel.in_order(|order| order.remove(id)) {
            self.parts.directory.forget(channel);
        }
    }

    /// Returns an account without credits yet, for one publication of that many bytes.
    pub fn credits(&self, bytes: usize) -> Credits<'_, S> {
        Credits { hub: self, held: ShardSet::default(), bytes, at: 0 }
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
    /// [`NoCredit`] when a shard has no room: nothing was published; wait for its credits and call again.
    pub fn publish(&self, channel: &Channel, body: &Bytes, credits: &mut Credits<'_, S>) -> Result<u64, NoCredit> {
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

    /// Returns the number of shards.
    pub fn shards(&self) -> usize {
        self.parts.inboxes.len()
    }
}

/// Whether a connection was added to a channel.
enum Added<'a, S: Sink> {
    Yes,
    /// The channel has all the subscribers that it may have.
    Full,
    /// The channel was closed meanwhile; the credit is not spent.
    Closed(Credit<'a, S>),
}

/// Adds a connection to a channel's order and tells its shard, which gets the command where the subscription stands in
/// the order.
fn add_subscriber<'a, S: Sink>(
    order: &mut Order,
    id: ConnectionId,
    channel: &Arc<Channel>,
    options: &Arc<ChannelOptions>,
    credit: Credit<'a, S>,
) -> Added<'a, S> {
    if order.is_closed {
        return Added::Closed(credit);
    }
    if !order.has_room(options) {
        return Added::Full;
    }
    order.set_options(options);
    order.add(id);
    credit.push(Command::Subscribe { id, channel: Arc::clone(channel) });
    Added::Yes
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
    bytes: usize,
    at: u64,
}

impl<'a, S: Sink> Credits<'a, S> {
    /// Notes when the publication arrived, as time since the [start](Metrics::started): its latency counts from then.
    pub fn arrived(mut self, at: Duration) -> Self {
        self.at = u64::try_from(at.as_micros()).unwrap_or(u64::MAX).max(1);
        self
    }

    fn try_take(&mut self, shard: usize) -> Result<(), NoCredit> {
        let Some(credit) = self.hub.inbox(shard).try_credit(self.bytes) else {
            self.release_above(shard);
            return Err(NoCredit { shard });
        };
        self.keep(credit);
        Ok(())
    }

    /// Publishers wait for credits in the order of the shards only: two of them that each held what the other waits for
    /// would wait for ever.
    fn release_above(&mut self, shard: usize) {
        for above in self.held.iter().filter(|held| *held > shard) {
            self.refund(above);
            self.held.remove(above);
        }
    }

    fn refund(&self, shard: usize) {
        self.hub.inbox(shard).refund(Inbox::<S>::cost(self.bytes) as usize);
    }

    /// Returns a future for the credit of one shard; give what it returns to [`Credits::keep`].
    ///
    /// # Cancel safety
    ///
    /// Dropping it costs nothing.
    pub fn wait(&self, shard: usize) -> impl Future<Output = Credit<'a, S>> + use<'a, S> {
        self.hub.inbox(shard).credit(self.bytes)
    }

    /// Keeps the credit of a shard for the next attempt.
    pub fn keep(&mut self, credit: Credit<'a, S>) {
        self.held.insert(credit.shard());
        credit.spend();
    }
}

impl<S: Sink> Drop for Credits<'_, S> {
    fn drop(&mut self) {
        for shard in self.held.iter() {
            self.refund(shard);
        }
    }
}

impl<S: Sink> fmt::Debug for Credits<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credits").field("held", &self.held).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
