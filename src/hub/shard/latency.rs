//! The latency of a shard's publications: from their arrival at the hub to the last write that was due for them.
//!
//! Measured once per pass, not per publication: all of a pass count with the age of the oldest, so the figure is an
//! upper bound. A parked subscriber does not count: its lag has a figure of its own.

use crate::metrics::ShardCounts;
use crate::protocol::Publication;
use std::mem;
use std::time::Duration;

/// The publications that were appended and not counted yet.
#[derive(Debug)]
pub(super) struct Latency {
    /// When the hub started, in microseconds since 1970.
    started_at: u64,
    publications: u64,
    /// When the oldest of them arrived, in microseconds since 1970.
    oldest: u64,
}

impl Latency {
    pub(super) fn new(started_at: u64) -> Self {
        Self { started_at, publications: 0, oldest: 0 }
    }

    /// Notes a publication; one without a time of arrival does not count.
    ///
    /// # Hot path
    ///
    /// Once per publication and shard: a comparison.
    pub(super) fn note(&mut self, publication: &Publication) {
        if publication.at > 0 {
            self.oldest = if self.publications == 0 { publication.at } else { self.oldest.min(publication.at) };
            self.publications += 1;
        }
    }

    /// Counts what was noted: its last write was at `now`.
    pub(super) fn count(&mut self, now: Duration, counts: &mut ShardCounts) {
        if self.publications > 0 {
            let now = self.started_at + u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
            counts.latency.count(now.saturating_sub(self.oldest), mem::take(&mut self.publications));
        }
    }
}
