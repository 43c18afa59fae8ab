//! The latency of a shard's publications: from their arrival at the hub to the last write that was due for them.
//!
//! Once per pass, not per publication: all of a pass count with the time of the oldest among them, so that the figure
//! is an upper bound. A subscriber that is parked is not waited for: its lag has a figure of its own.

use super::Shard;
use crate::hub::Sink;
use crate::hub::command::Publication;
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
}

impl<S: Sink> Shard<S> {
    /// Counts what was noted, unless it still waits to be written.
    pub(super) fn count_latency(&mut self, now: Duration) {
        if self.latency.publications > 0 && self.touched.is_empty() {
            let Latency { publications, oldest } = std::mem::take(&mut self.latency);
            let now = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
            self.counts.count_latency(now.saturating_sub(oldest), publications);
        }
    }
}
