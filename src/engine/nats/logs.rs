//! The logs of a cluster, as this hub uses them: what following, publishing and backfilling have in common.

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

    /// Returns the epoch of a partition: the one that is followed, or the one that its stream had at the start.
    pub(super) fn epoch(&self, partition: &Partition) -> Epoch {
        let at_start = || self.epochs.get().and_then(|epochs| epochs.get(partition.index())).copied();
        match partition.epoch() {
            Epoch::UNKNOWN => at_start().unwrap_or(Epoch::UNKNOWN),
            epoch => epoch,
        }
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
