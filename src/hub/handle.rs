//! The hub: a cloneable handle to all shards.
//!
//! Nothing here awaits: what would have to wait says for which credits.

use super::channel::Order;
use super::directory::Directory;
use super::history::Budget;
use super::inbox::{Credit, Inbox};
use super::keepers::Keepers;
use super::observer::{Change, Observer};
use super::occupancy::{Announcement, Changes};
use super::placement::{Placement, SlotReservation};
use super::shard::ShardParts;
use super::{Command, ConnectionId, MessageShape, Partitions, Shard, Sink};
use crate::config::{ChannelOptions, HubLimits, SocketLimits, TuningConfig};
use crate::metrics::Metrics;
use crate::protocol::ChannelName;
use arc_swap::{ArcSwap, Guard};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

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
/// use throng::hub::{Hub, MessageShape, Sent, Sink, SubscribeOptions};
/// use throng::metrics::Metrics;
/// use throng::protocol::{ChannelName, Payload};
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
/// let id = hub.connect(slot, sink.clone(), MessageShape::default(), credit());
/// let lobby = hub.subscribe(id, &ChannelName::parse("lobby")?, &SubscribeOptions::default(), credit())?;
/// let line = Payload::line(b"hello")?;
/// hub.publish(&lobby.channel, &line, &mut hub.credits(line.len())).expect("the inbox has room");
///
/// // One pass of the only shard takes the commands and writes.
/// shards[0].begin_pass(Duration::ZERO);
/// while shards[0].step() {}
/// shards[0].end_pass(Duration::ZERO);
/// assert_eq!(*sink.0.lock().unwrap(), b"\x81\x05hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Hub<S: Sink> {
    pub(super) parts: Arc<Parts<S>>,
}

pub(super) struct Parts<S: Sink> {
    inboxes: Box<[Arc<Inbox<S>>]>,
    pub(super) directory: Directory,
    pub(super) history: Budget,
    pub(super) keepers: Keepers,
    pub(super) changes: Changes,
    placement: Arc<Placement>,
    metrics: Arc<Metrics>,
    limits: ArcSwap<HubLimits>,
    socket_limits: ArcSwap<SocketLimits>,
    tuning: TuningConfig,
    default_options: Arc<ChannelOptions>,
    pub(super) observer: OnceLock<Box<dyn Observer>>,
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
            history: Budget::new(limits.history_bytes_max),
            keepers: Keepers::default(),
            changes: Changes::default(),
            placement: Arc::new(Placement::new(count, limits.connections_max)),
            metrics,
            limits: ArcSwap::from_pointee(limits.clone()),
            socket_limits: ArcSwap::from_pointee(SocketLimits::default()),
            tuning: tuning.clone(),
            default_options: Arc::default(),
            observer: OnceLock::new(),
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
            started_at: parts.metrics.time_of_day(Duration::ZERO),
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

    /// Returns the limits of the hub. Do not keep the guard.
    pub fn limits(&self) -> Guard<Arc<HubLimits>> {
        self.parts.limits.load()
    }

    /// Returns the bytes of all histories.
    pub fn history_bytes(&self) -> usize {
        self.parts.history.used()
    }

    /// Returns the bytes that all histories may have.
    pub fn history_bytes_max(&self) -> usize {
        self.parts.history.max()
    }

    /// Returns what has to be told since the last call: where the subscribers have changed.
    pub fn take_announcements(&self) -> Vec<Announcement> {
        self.parts.changes.take(&self.metrics().process)
    }

    /// Drops from some histories what is too old at `now`, in microseconds since 1970, and channels that
    /// nobody needs any more. Call it about once a second: sixteen calls look at all of them.
    pub fn sweep_histories(&self, now: u64) {
        let Parts { directory, history, keepers, .. } = &*self.parts;
        for channel in keepers.sweep(now, history) {
            directory.forget(&channel);
        }
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
        self.parts.history.set_max(limits.history_bytes_max);
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
    pub fn connect(&self, slot: SlotReservation, sink: S, shape: MessageShape, credit: Credit<'_, S>) -> ConnectionId {
        let id = slot.occupy();
        debug_assert_eq!(credit.shard(), id.shard(), "the credit is for the shard of the slot");
        credit.push(Command::Connect { id, sink, shape });
        id
    }

    /// Returns the options of channels that belong to no namespace, such as those of the echo protocol.
    pub fn default_options(&self) -> &Arc<ChannelOptions> {
        &self.parts.default_options
    }

    /// Sets who learns of changes from now on. The first one stays.
    pub fn set_observer(&self, observer: impl Observer + 'static) {
        // A second one is dropped.
        let _ = self.parts.observer.set(Box::new(observer));
    }

    /// Lets the logs of these partitions decide the order of channels. Once, before anything is subscribed to; without
    /// it the hub decides the order itself.
    pub fn set_partitions(&self, partitions: &Arc<Partitions>) {
        self.parts.directory.set_partitions(partitions);
    }

    /// Lets the order of a channel be as far as its partition is.
    pub(super) fn catch_up(&self, order: &mut Order, name: &ChannelName) {
        if let Some(partition) = self.parts.directory.partition(name) {
            // The floor first: it is above `applied` only while a loss is told.
            let (floor, applied) = (partition.floor(), partition.applied());
            if floor > applied {
                order.change_history(&self.parts.history, |history| history.raise_floor(floor));
            }
            order.advance(applied.max(floor));
        }
    }

    /// Tells the observer of a change, if there is one.
    pub fn observe(&self, change: Change<'_>) {
        if let Some(observer) = self.parts.observer.get() {
            observer.observe(change);
        }
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
