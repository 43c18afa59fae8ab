//! Counts: what the clients received, and how connections ended or failed, by kind.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was received, over the whole run.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Counts {
    /// Records that came for the first time, whole.
    pub(crate) verified: u64,
    /// Records that later ones overtook for good, or that never came.
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    /// Lines of the length of a record that are not records.
    pub(crate) corrupt: u64,
    /// Lines longer than a record: several messages without a newline between them.
    #[serde(rename = "joined")]
    pub(crate) merged: u64,
    /// Lines shorter than a record: parts of a message.
    pub(crate) split: u64,
}

impl Counts {
    /// Adds what others received.
    pub(crate) const fn add(&mut self, other: &Self) {
        self.verified += other.verified;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.corrupt += other.corrupt;
        self.merged += other.merged;
        self.split += other.split;
    }
}

/// Connections that ended the same way.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct CloseCount {
    /// As sent by the server; 1005 for a close frame without a code, 1006 for none at all.
    pub(crate) code: u16,
    /// That of the first.
    pub(crate) reason: String,
    pub(crate) count: usize,
}

impl CloseCount {
    /// Adds up counts by code. The first reason stands for all of a code.
    pub(crate) fn sum(counts: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut sums = BTreeMap::new();
        for close in counts {
            let first = || Self { code: close.code, reason: close.reason, count: 0 };
            sums.entry(close.code).or_insert_with(first).count += close.count;
        }
        sums.into_values().collect()
    }
}

/// Attempts to connect that failed the same way.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Refusal {
    pub(crate) why: String,
    pub(crate) count: u64,
}
