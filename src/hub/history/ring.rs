//! The ring of one channel: its newest publications.
//!
//! Their offsets have no gap where the hub numbers them itself, so they are given by the place in the ring. Where a log
//! does, they are sequence numbers of it, and [`Sparse`] has them.

use super::sparse::{Backfill, Logged, Origin, Place, Sparse};
use super::{Budget, HistoryOptions};
use crate::protocol::position::{Epoch, Position};
use crate::protocol::{Content, Details, Payload, Publication};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;

/// Data of at least this many bytes is shared with the publication, not copied: as in a shard's log.
const SHARED_MIN: usize = 4 * 1024;

/// The newest publications of a channel.
#[derive(Debug)]
pub(in crate::hub) struct History {
    epoch: Epoch,
    options: HistoryOptions,
    /// Of the options, in microseconds.
    ttl: u64,
    entries: VecDeque<Entry>,
    /// Offset of the newest publication, whether it is still here or not; where a log numbers them, the sequence number
    /// up to which the channel is known.
    top: u64,
    /// Where a log numbers them.
    sparse: Option<Box<Sparse>>,
    /// Bytes of the entries and their data.
    bytes: usize,
    /// The budget knows the channel.
    is_registered: bool,
}

/// What keeping a publication has led to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::hub) struct Kept {
    /// The budget has to know the channel.
    pub(in crate::hub) is_first: bool,
    /// All histories together hold too much.
    pub(in crate::hub) is_over_budget: bool,
}

/// A publication; its offset is given by its place.
#[derive(Debug)]
struct Entry {
    data: Data,
    at: u64,
    details: Option<Arc<Details>>,
    content: Content,
}

const _: () = assert!(size_of::<Entry>() <= 40, "most publications are small, so their entries have to be");

/// A copy has no spare capacity and no counter of references: most publications are small.
#[derive(Debug)]
enum Data {
    Copied(Box<[u8]>),
    Shared(Box<Bytes>),
}

impl Data {
    fn new(data: &Bytes) -> Self {
        if data.len() < SHARED_MIN { Self::Copied(data[..].into()) } else { Self::Shared(Box::new(data.clone())) }
    }

    fn len(&self) -> usize {
        match self {
            Self::Copied(data) => data.len(),
            Self::Shared(data) => data.len(),
        }
    }

    fn to_bytes(&self) -> Bytes {
        match self {
            Self::Copied(data) => Bytes::copy_from_slice(data),
            Self::Shared(data) => Bytes::clone(data),
        }
    }
}

impl Entry {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.data.len() + self.details.as_ref().map_or(0, |details| details.bytes())
    }
}

impl History {
    /// Returns an empty history that follows the publication with that offset.
    pub(in crate::hub) fn new(origin: Origin, options: HistoryOptions, top: u64) -> Self {
        let floor = origin.floor.map(|floor| floor.max(top));
        Self {
            epoch: origin.epoch,
            options,
            ttl: options.ttl_micros(),
            entries: VecDeque::new(),
            top: floor.unwrap_or(top),
            sparse: floor.map(|floor| Box::new(Sparse::new(floor))),
            bytes: 0,
            is_registered: false,
        }
    }

    pub(in crate::hub) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Changes the bounds; what is beyond them goes with the next publication or sweep.
    pub(in crate::hub) fn set_options(&mut self, options: HistoryOptions) {
        (self.options, self.ttl) = (options, options.ttl_micros());
    }

    /// Returns the bytes of the entries and their data.
    pub(in crate::hub) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(in crate::hub) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(in crate::hub) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keeps a publication, drops what is beyond the bounds, and counts it.
    ///
    /// # Hot path
    ///
    /// Once per publication in a channel with history: one allocation, one copy, one atomic addition.
    pub(in crate::hub) fn keep(&mut self, publication: &Publication, budget: &Budget) -> Kept {
        debug_assert!(self.sparse.is_none(), "a log numbers them");
        debug_assert_eq!(publication.offset, self.top + 1, "offsets have no gap");
        self.push(publication, publication.at, budget)
    }

    fn push(&mut self, publication: &Publication, now: u64, budget: &Budget) -> Kept {
        let (before, is_first) = (self.bytes, !std::mem::replace(&mut self.is_registered, true));
        self.top = publication.offset;
        let entry = Entry::new(publication);
        self.bytes += entry.bytes() + self.place_bytes();
        self.entries.push_back(entry);
        self.trim(now);
        Kept { is_first, is_over_budget: budget.count(before, self.bytes) }
    }

    /// Drops what is beyond the bounds at `now`, in microseconds since 1970.
    pub(in crate::hub) fn trim(&mut self, now: u64) {
        self.trim_number();
        while self.oldest_at().is_some_and(|oldest| now.saturating_sub(oldest) >= self.ttl) {
            self.drop_oldest();
        }
        // What only a burst needed is given back.
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
            if let Some(sparse) = &mut self.sparse {
                sparse.places = VecDeque::new();
            }
        }
    }

    /// Returns since when the oldest is here, or in the log.
    fn oldest_at(&self) -> Option<u64> {
        match &self.sparse {
            None => self.entries.front().map(|oldest| oldest.at),
            Some(sparse) => sparse.places.front().map(|oldest| oldest.stored_at),
        }
    }

    fn trim_number(&mut self) {
        while self.entries.len() > self.options.size {
            self.drop_oldest();
        }
    }

    /// Drops the oldest until at most `bytes` are left.
    pub(in crate::hub) fn shrink_to(&mut self, bytes: usize) {
        while self.bytes > bytes {
            self.drop_oldest();
        }
        self.entries.shrink_to_fit();
    }

    /// Drops everything; offsets go on.
    pub(in crate::hub) fn clear(&mut self) {
        self.raise_floor(self.top);
        (self.entries, self.bytes) = (VecDeque::new(), 0);
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.entries.pop_front() {
            self.bytes -= oldest.bytes() + self.place_bytes();
            if let Some(sparse) = &mut self.sparse {
                sparse.pop_oldest();
            }
        }
    }

    /// Returns the bytes of where a publication stands in a log.
    fn place_bytes(&self) -> usize {
        if self.sparse.is_some() { size_of::<Place>() } else { 0 }
    }

    /// Returns the offset after which every publication is here.
    pub(in crate::hub) fn floor(&self) -> u64 {
        match &self.sparse {
            None => self.top - self.entries.len() as u64,
            Some(sparse) => sparse.floor,
        }
    }

    /// Returns the number of publications after `offset`; `None` when not all of them are here.
    pub(in crate::hub) fn count_since(&self, offset: u64) -> Option<usize> {
        let is_known = self.floor() <= offset && offset <= self.top;
        is_known.then(|| self.entries.len() - self.index_after(offset))
    }

    /// Returns the number of publications up to `offset`, which is the index of the first one after it.
    pub(in crate::hub) fn index_after(&self, offset: u64) -> usize {
        let before = match &self.sparse {
            None => usize::try_from(offset.saturating_sub(self.floor())).unwrap_or(usize::MAX),
            Some(sparse) => sparse.places.partition_point(|known| known.offset <= offset),
        };
        before.min(self.entries.len())
    }

    /// Returns how many publications, one or none, a subscriber at this position needs to have the newest; `None` when
    /// that is not here. A position before the first publication has nothing.
    pub(in crate::hub) fn count_of_newest(&self, position: Option<Position>) -> Option<usize> {
        let has_newest =
            |position: Position| position.epoch == self.epoch && self.count_since(position.offset) == Some(0);
        match position {
            Some(position) if has_newest(position) && self.top > 0 => Some(0),
            _ => (!self.is_empty()).then_some(1),
        }
    }

    /// Returns the bytes of the data of the newest `count` publications.
    pub(in crate::hub) fn newest_bytes(&self, count: usize) -> usize {
        self.entries.iter().rev().take(count).map(|entry| entry.data.len()).sum()
    }

    /// Returns how many of the newest `count` publications are here and within `bytes`.
    pub(in crate::hub) fn fitting(&self, count: usize, mut bytes: usize) -> usize {
        let fits = |entry: &&Entry| {
            let left = bytes.checked_sub(entry.data.len());
            bytes = left.unwrap_or(0);
            left.is_some()
        };
        self.entries.iter().rev().take(count).take_while(fits).count()
    }

    /// Returns the newest `count` publications, oldest first.
    pub(in crate::hub) fn newest(&self, count: usize) -> impl Iterator<Item = Publication> {
        self.from(self.entries.len().saturating_sub(count))
    }

    /// Returns the publications from that index on.
    pub(in crate::hub) fn from(&self, index: usize) -> impl Iterator<Item = Publication> {
        let first = index.min(self.entries.len());
        (first..).zip(self.entries.range(first..)).map(|(index, entry)| entry.publication(self.offset(index)))
    }

    fn offset(&self, index: usize) -> u64 {
        match &self.sparse {
            None => self.floor() + index as u64 + 1,
            Some(sparse) => sparse.places[index].offset,
        }
    }
}

/// What is only there where a log numbers publications.
impl History {
    /// Keeps a publication of the log, as [`History::keep`] does.
    pub(in crate::hub) fn keep_logged(&mut self, logged: &Logged, budget: &Budget) -> Kept {
        if let Some(sparse) = &mut self.sparse {
            debug_assert!(logged.publication.offset > self.top, "offsets grow");
            sparse.places.push_back(logged.place());
        }
        self.push(&logged.publication, logged.stored_at, budget)
    }

    /// Notes that nothing was published since, up to this sequence number.
    pub(in crate::hub) fn advance(&mut self, offset: u64) {
        self.top = self.top.max(offset);
    }

    /// Drops what is not after this sequence number, before which something is missing.
    pub(in crate::hub) fn raise_floor(&mut self, floor: u64) {
        let oldest = |sparse: &Sparse| sparse.places.front().map(|oldest| oldest.offset);
        while self.sparse.as_deref().and_then(oldest).is_some_and(|oldest| oldest <= floor) {
            self.drop_oldest();
        }
        if let Some(sparse) = &mut self.sparse {
            sparse.floor = sparse.floor.max(floor);
            self.top = self.top.max(floor);
        }
    }

    /// Lets the log be asked again.
    pub(in crate::hub) fn forget_backfill(&mut self) {
        if let Some(sparse) = &mut self.sparse {
            sparse.is_backfilled = false;
        }
    }

    /// Begins another incarnation, of which nothing is known up to its floor.
    pub(in crate::hub) fn renew(&mut self, origin: Origin) {
        (self.entries, self.bytes, self.epoch) = (VecDeque::new(), 0, origin.epoch);
        self.top = origin.floor.unwrap_or(0);
        self.sparse = origin.floor.map(|floor| Box::new(Sparse::new(floor)));
    }

    /// Returns whether the log was asked for what is older.
    pub(in crate::hub) fn is_backfilled(&self) -> bool {
        self.sparse.as_ref().is_none_or(|sparse| sparse.is_backfilled)
    }

    /// Puts what the log has before what is here, if it leads up to it, and counts it. Returns `None` if it does not.
    pub(in crate::hub) fn backfill(&mut self, backfill: &Backfill, budget: &Budget) -> Option<Kept> {
        let sparse = self.sparse.as_mut().filter(|sparse| sparse.floor <= backfill.until)?;
        if self.epoch != backfill.epoch {
            return None;
        }
        let (before, is_first) = (self.bytes, !std::mem::replace(&mut self.is_registered, true));
        sparse.is_backfilled = true;
        let (known, floor) = (sparse.floor, sparse.floor.min(backfill.floor));
        let is_older = |one: &&Logged| floor < one.publication.offset && one.publication.offset <= known;
        for logged in backfill.publications.iter().filter(is_older).rev() {
            let entry = Entry::new(&logged.publication);
            self.bytes += entry.bytes() + size_of::<Place>();
            self.entries.push_front(entry);
            sparse.places.push_front(logged.place());
        }
        sparse.floor = floor;
        self.trim_number();
        Some(Kept { is_first, is_over_budget: budget.count(before, self.bytes) })
    }
}

impl Entry {
    fn new(publication: &Publication) -> Self {
        let Publication { at, payload: Payload { content, data, details }, .. } = publication;
        Self { data: Data::new(data), at: *at, details: details.clone(), content: *content }
    }

    fn publication(&self, offset: u64) -> Publication {
        let payload = Payload { content: self.content, data: self.data.to_bytes(), details: self.details.clone() };
        Publication { offset, at: self.at, payload }
    }
}
