//! Partitions: the logs of a cluster that channels are spread over, and how far this hub has followed each.
//!
//! In a cluster the order of a channel is decided by the log of its partition, and an offset is a sequence number of
//! that log. A hub without partitions, which is a single one, numbers publications itself.
//!
//! # Invariants
//!
//! - One task delivers what a partition's log brings, in its order. It alone changes what is here, but for the floor.
//! - Everything up to `applied` was delivered to the channels that exist. A channel that is opened later sees that
//!   number, because it is raised under the lock of its place in the directory.
//! - The floor is above `applied` only while a loss is told: nothing up to it comes any more.

use super::history::Origin;
use crate::protocol::{ChannelName, Epoch};
use parking_lot::Mutex;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The partitions of a cluster.
#[derive(Debug)]
pub struct Partitions {
    all: Box<[Partition]>,
}

/// One log, and what this hub knows of it.
#[derive(Debug)]
pub struct Partition {
    index: usize,
    epoch: AtomicU64,
    applied: AtomicU64,
    floor: AtomicU64,
    /// The newest revision of options by which a channel was opened, or was not.
    revision: Mutex<Option<u64>>,
}

impl Partitions {
    /// Returns that many partitions, none of which was followed yet.
    pub fn new(count: NonZeroUsize) -> Arc<Self> {
        let partition = |index| Partition {
            index,
            epoch: AtomicU64::new(0),
            applied: AtomicU64::new(0),
            floor: AtomicU64::new(0),
            revision: Mutex::default(),
        };
        Arc::new(Self { all: (0..count.get()).map(partition).collect() })
    }

    /// Returns the partition that a channel belongs to: on every hub the same.
    pub fn of(&self, name: &ChannelName) -> &Partition {
        let hash = fnv_1a(name.as_str().as_bytes());
        let index = hash % self.all.len() as u64;
        &self.all[usize::try_from(index).unwrap_or(0)]
    }

    /// Returns all of them, by index.
    pub fn all(&self) -> &[Partition] {
        &self.all
    }
}

/// Returns the 64-bit FNV-1a hash: it may never change, because every hub of a cluster has to agree.
fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

// SeqCst everywhere: each place that stores one of these and loads another would otherwise need an argument of its own,
// and nothing here is done per delivery.
impl Partition {
    /// Returns its number, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns the incarnation of its log; [`Epoch::UNKNOWN`] before it was followed.
    pub fn epoch(&self) -> Epoch {
        Epoch::new(self.epoch.load(Ordering::SeqCst))
    }

    /// Returns the sequence number up to which everything was delivered here.
    pub fn applied(&self) -> u64 {
        self.applied.load(Ordering::SeqCst)
    }

    /// Notes that everything up to this sequence number was delivered here. [`Hub::deliver`](super::Hub::deliver) does
    /// it by itself; this is for what is no publication.
    pub fn set_applied(&self, sequence: u64) {
        self.applied.fetch_max(sequence, Ordering::SeqCst);
    }

    /// Returns the sequence number after which nothing was published to a channel that does not exist here, or what was
    /// is not to be kept.
    pub fn floor(&self) -> u64 {
        self.floor.load(Ordering::SeqCst)
    }

    pub(super) fn raise_floor(&self, sequence: u64) {
        self.floor.fetch_max(sequence, Ordering::SeqCst);
    }

    /// Returns where the history of a channel begins that is opened now.
    pub(super) fn origin(&self) -> Origin {
        // The epoch first, see `renew`.
        let epoch = self.epoch();
        Origin { epoch, floor: Some(self.floor()) }
    }

    /// Begins another incarnation, of which nothing up to this sequence number is known.
    pub(super) fn renew(&self, epoch: Epoch, after: u64) {
        // The epoch last: one who sees the new one sees what belongs to it.
        self.applied.store(after, Ordering::SeqCst);
        self.floor.store(after, Ordering::SeqCst);
        self.epoch.store(epoch.number(), Ordering::SeqCst);
    }

    /// Notes by which options a channel is opened, or is not. Under other ones something may not have been kept that is
    /// kept under these.
    pub(super) fn follow_revision(&self, revision: u64) {
        // A lock, so that the floor is raised once another thread sees the new revision.
        let known = &mut *self.revision.lock();
        if known.is_some_and(|known| known != revision) {
            self.raise_floor(self.applied());
        }
        *known = Some(known.unwrap_or(0).max(revision));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hubs of another version agree only if this never changes.
    #[test]
    fn channel_belongs_to_the_same_partition_for_ever() {
        for (text, hash) in
            [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            assert_eq!(fnv_1a(text.as_bytes()), hash, "{text}");
        }
        let partitions = Partitions::new(NonZeroUsize::new(8).unwrap());
        let of = |name: &str| partitions.of(&ChannelName::parse(name).unwrap()).index();
        assert_eq!(["a", "b", "foobar", "news:sport"].map(of), [4, 5, 0, of("news:sport")]);
    }

    #[test]
    fn channels_are_spread_over_all_partitions() {
        let partitions = Partitions::new(NonZeroUsize::new(8).unwrap());
        let mut counts = [0; 8];
        for number in 0..8000 {
            counts[partitions.of(&ChannelName::parse(&format!("room:{number}")).unwrap()).index()] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }

    /// Options that change may begin to keep what was not kept before.
    #[test]
    fn another_revision_of_the_options_raises_the_floor() {
        let partitions = Partitions::new(NonZeroUsize::MIN);
        let partition = &partitions.all()[0];
        partition.renew(Epoch::new(7), 10);
        partition.set_applied(20);
        for (revision, floor) in [(3, 10), (3, 10), (4, 20), (4, 20)] {
            partition.follow_revision(revision);
            assert_eq!(partition.floor(), floor, "revision {revision}");
        }
        partition.set_applied(30);
        partition.follow_revision(3);
        assert_eq!(partition.floor(), 30, "what is delivered by old options");
    }
}
