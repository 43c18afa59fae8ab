//! The latency of a shard's publications: from their arrival at the hub to the last write that was due for them.
//!
//! Measured once per pass, not per publication: all of a pass count with the age of the oldest, so the figure is an
//! upper bound. A parked subscriber does not count: its lag has a figure of its own.

use crate::hub::command::Publication;
use crate::metrics::ShardCounts;
use std::mem;
use std::time::Duration;

/// The publications that were appended and not counted yet.
#[derive(Debug, Default)]
pub(super) struct Latency {
    publications: u64,
    /// When the oldest of them arrived, in microseconds since the hub's start.
    oldest: u64,
}

impl Latency {
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
            let Self { publications, oldest } = mem::take(self);
            let now = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
            counts.latency.count(now.saturating_sub(oldest), publications);
        }
    }
}
