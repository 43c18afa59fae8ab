//! The logs of a cluster, as this hub uses them: what following, publishing and backfilling have in common.

use super::envelope;
use super::interest::Interest;
use super::link::Link;
use super::publisher::Publisher;
use super::subject::Subjects;
use crate::config::{ChannelOptions, ClusterConfig, Namespaces};
use crate::hub::{Hub, NoCredit, Partition, Partitions, Sink};
use crate::metrics::Metrics;
use crate::protocol::{ChannelName, Epoch};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Streams, connections, and what this hub follows.
pub struct Logs<S: Sink> {
    pub(super) hub: Hub<S>,
    pub(super) config: ClusterConfig,
    pub(super) subjects: Subjects,
    pub(super) requests: Arc<Link>,
    pub(super) follow: Arc<Link>,
    pub(super) publisher: Publisher,
    pub(super) partitions: Arc<Partitions>,
    pub(super) namespaces: Arc<ArcSwap<Namespaces>>,
    pub(super) interests: Box<[Interest]>,
    /// Backfills in progress, one for each channel.
    pub(super) backfills: Mutex<HashMap<ChannelName, Arc<tokio::sync::Mutex<()>>>>,
    /// The epochs that the streams had when they were found to be what the configuration says.
    epochs: OnceLock<Box<[Epoch]>>,
    places: Box<[Place]>,
}

/// What this hub knows of a log besides what it follows.
#[derive(Debug)]
struct Place {
    /// What makes the epoch of a log that began anew under the epoch of its stream another one; 0 before that.
    anew: AtomicU64,
    /// The highest number that this hub was told when it published, before it followed.
    stored: AtomicU64,
    /// In this epoch numbers went back: the log is not the one that it belongs to.
    doubtful: AtomicU64,
}

impl Place {
    fn new() -> Self {
        Self { anew: AtomicU64::new(0), stored: AtomicU64::new(0), doubtful: AtomicU64::new(u64::MAX) }
    }
}

/// How far a log is for sure: what is stored from now on has a higher number, or the log is another one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reached {
    epoch: Epoch,
    number: u64,
}

impl<S: Sink> Logs<S> {
    pub(super) fn new(
        hub: Hub<S>,
        config: &ClusterConfig,
        namespaces: Arc<ArcSwap<Namespaces>>,
        links: (Arc<Link>, Arc<Link>),
        publisher: Publisher,
    ) -> Self {
        let partitions = Partitions::new(NonZeroUsize::new(config.partitions).unwrap_or(NonZeroUsize::MIN));
        hub.set_partitions(&partitions);
        Self {
            hub,
            config: config.clone(),
            subjects: Subjects::new(&config.prefix),
            requests: links.0,
            follow: links.1,
            publisher,
            interests: (0..partitions.all().len()).map(|_| Interest::new()).collect(),
            places: partitions.all().iter().map(|_| Place::new()).collect(),
            partitions,
            namespaces,
            backfills: Mutex::default(),
            epochs: OnceLock::new(),
        }
    }

    /// Returns the partition of a channel.
    pub(super) fn partition(&self, name: &ChannelName) -> &Partition {
        self.partitions.of(name)
    }

    /// Returns the interest in a partition.
    pub(super) fn interest(&self, partition: &Partition) -> &Interest {
        &self.interests[partition.index()]
    }

    /// Returns the options of a channel; `None` if its namespace is not defined here.
    pub(super) fn options(&self, name: &ChannelName) -> Option<Arc<ChannelOptions>> {
        self.namespaces.load().of(name.as_str()).ok().map(Arc::clone)
    }

    pub(super) fn metrics(&self) -> &Metrics {
        self.hub.metrics()
    }

    /// Returns whether the streams were found to be what the configuration says.
    pub(super) fn is_verified(&self) -> bool {
        self.epochs.get().is_some()
    }

    pub(super) fn set_verified(&self, epochs: &[Option<Epoch>]) {
        // The first ones stay.
        self.epochs.set(epochs.iter().map(|epoch| epoch.unwrap_or(Epoch::UNKNOWN)).collect()).ok();
    }

    /// Begins a log of a stream with this epoch; `anew` is not 0 if it is another one than before under the same epoch.
    /// Returns the epoch of its positions.
    pub(super) fn begin_epoch(&self, partition: &Partition, epoch: Epoch, anew: u64) -> Epoch {
        self.places[partition.index()].anew.store(anew, Ordering::SeqCst);
        self.epoch_of_stream(partition, epoch)
    }

    /// Returns the epoch of positions in the stream that has this one.
    pub(super) fn epoch_of_stream(&self, partition: &Partition, epoch: Epoch) -> Epoch {
        Epoch::new(epoch.number() ^ self.places[partition.index()].anew.load(Ordering::SeqCst))
    }

    /// Returns how far the log of a partition is, for [`Logs::epoch_of_stored`].
    pub(super) fn reached(&self, partition: &Partition) -> Reached {
        // The epoch first: a new one is there only after what belongs to it.
        let epoch = partition.epoch();
        let number = match epoch {
            Epoch::UNKNOWN => self.places[partition.index()].stored.load(Ordering::SeqCst),
            _ => partition.applied(),
        };
        Reached { epoch, number }
    }

    /// Returns the epoch of what was stored under this number, when the log had reached another one before that; `None`
    /// if it is not known, because the log was made anew and this hub has not followed it since.
    pub(super) fn epoch_of_stored(&self, partition: &Partition, number: u64, reached: Reached) -> Option<Epoch> {
        let place = &self.places[partition.index()];
        if number <= reached.number {
            place.doubtful.store(reached.epoch.number(), Ordering::SeqCst);
        }
        let mut epoch = reached.epoch;
        if epoch == Epoch::UNKNOWN {
            place.stored.fetch_max(number, Ordering::SeqCst);
            epoch = self.epochs.get().and_then(|epochs| epochs.get(partition.index())).copied()?;
        }
        let is_over = ![Epoch::UNKNOWN, epoch].contains(&partition.epoch());
        let is_doubtful = place.doubtful.load(Ordering::SeqCst) == reached.epoch.number();
        (!is_over && !is_doubtful).then_some(epoch)
    }

    /// Returns whether what is stored now gets a number that this hub has delivered already: the servers acknowledge a
    /// number only once, so the log is another one.
    pub(super) async fn numbers_again(&self, partition: &Partition) -> bool {
        let (applied, beacon) = (partition.applied(), self.subjects.beacon(partition.index()));
        let stored = self.publisher.store(&self.requests, &beacon, &envelope::beacon(), None).await;
        stored.is_ok_and(|number| number <= applied)
    }

    /// Does something that needs a credit of each shard, as soon as it has them.
    pub(super) async fn with_credits<R>(
        &self,
        bytes: usize,
        mut work: impl FnMut(&mut crate::hub::Credits<'_, S>) -> Result<R, NoCredit>,
    ) -> R {
        let mut credits = self.hub.credits(bytes);
        loop {
            match work(&mut credits) {
                Ok(result) => return result,
                Err(NoCredit { shard }) => {
                    let credit = credits.wait(shard).await;
                    credits.keep(credit);
                }
            }
        }
    }
}

impl<S: Sink> fmt::Debug for Logs<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs").field("config", &self.config).finish_non_exhaustive()
    }
}
