//! Gaps: sequence numbers that clients have not received although later ones came.

use std::collections::HashMap;
use std::ops::Range;

/// Missing ranges remembered in all. A server that drops records at random makes many; beyond this, late ones count as
/// duplicates.
const GAPS_MAX: usize = 1 << 16;

/// A client, and a publisher that it hears.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct GapKey {
    pub(super) client: usize,
    pub(super) publisher: u16,
}

/// Ranges of sequence numbers that were jumped over, by client and publisher.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    ranges: HashMap<GapKey, Vec<Range<u32>>>,
    len: usize,
}

impl Gaps {
    pub(super) fn add(&mut self, key: GapKey, range: Range<u32>) {
        if self.len < GAPS_MAX {
            self.ranges.entry(key).or_default().push(range);
            self.len += 1;
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets what a client missed on an earlier connection.
    pub(super) fn forget(&mut self, client: usize) {
        self.ranges.retain(|key, _| key.client != client);
        self.len = self.ranges.values().map(Vec::len).sum();
    }

    /// Takes one number out; false if it was not missing.
    pub(super) fn remove(&mut self, key: GapKey, sequence: u32) -> bool {
        let Some(ranges) = self.ranges.get_mut(&key) else { return false };
        let Some(at) = ranges.iter().position(|range| range.contains(&sequence)) else { return false };
        let range = ranges.swap_remove(at);
        let parts = [range.start..sequence, sequence + 1..range.end];
        ranges.extend(parts.into_iter().filter(|part| !part.is_empty()));
        true
    }
}
