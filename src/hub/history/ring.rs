//! The ring of one channel: its newest publications, whose offsets have no gap.

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
    /// Offset of the newest publication, whether it is still here or not.
    top: u64,
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
    pub(in crate::hub) fn new(epoch: Epoch, options: HistoryOptions, top: u64) -> Self {
        Self {
            epoch,
            options,
            ttl: options.ttl_micros(),
            entries: VecDeque::new(),
            top,
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
        let (before, is_first) = (self.bytes, !std::mem::replace(&mut self.is_registered, true));
        self.push(publication);
        Kept { is_first, is_over_budget: budget.count(before, self.bytes) }
    }

    fn push(&mut self, publication: &Publication) {
        debug_assert_eq!(publication.offset, self.top + 1, "offsets have no gap");
        let Publication { offset, at, payload } = publication;
        self.top = *offset;
        let Payload { content, data, details } = payload;
        let entry = Entry { data: Data::new(data), at: *at, details: details.clone(), content: *content };
        self.bytes += entry.bytes();
        self.entries.push_back(entry);
        self.trim(*at);
    }

    /// Drops what is beyond the bounds at `now`, in microseconds since 1970.
    pub(in crate::hub) fn trim(&mut self, now: u64) {
        while self.entries.len() > self.options.size {
            self.drop_oldest();
        }
        while self.entries.front().is_some_and(|oldest| now.saturating_sub(oldest.at) >= self.ttl) {
            self.drop_oldest();
        }
        // What only a burst needed is given back.
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
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
        (self.entries, self.bytes) = (VecDeque::new(), 0);
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.entries.pop_front() {
            self.bytes -= oldest.bytes();
        }
    }

    /// Returns the number of publications after `offset`; `None` when not all of them are here.
    pub(in crate::hub) fn count_since(&self, offset: u64) -> Option<usize> {
        let missed = usize::try_from(self.top.checked_sub(offset)?).ok()?;
        (missed <= self.entries.len()).then_some(missed)
    }

    /// Returns how many publications, one or none, a subscriber at this position needs to have the newest; `None` when
    /// that is not here. A position before the first publication has nothing.
    pub(in crate::hub) fn count_of_newest(&self, position: Option<Position>) -> Option<usize> {
        let newest = Position { epoch: self.epoch, offset: self.top };
        match position {
            Some(position) if position == newest && self.top > 0 => Some(0),
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
        self.from(self.top - count.min(self.entries.len()) as u64)
    }

    /// Returns the publications after `offset`, which is not before the oldest of them.
    pub(in crate::hub) fn from(&self, offset: u64) -> impl Iterator<Item = Publication> {
        let count = usize::try_from(self.top - offset).unwrap_or(usize::MAX).min(self.entries.len());
        let entries = self.entries.range(self.entries.len() - count..);
        entries.zip(offset + 1..).map(|(entry, offset)| entry.publication(offset))
    }
}

impl Entry {
    fn publication(&self, offset: u64) -> Publication {
        let payload = Payload { content: self.content, data: self.data.to_bytes(), details: self.details.clone() };
        Publication { offset, at: self.at, payload }
    }
}
