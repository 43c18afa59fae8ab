//! What the history of a channel has besides, where a log numbers its publications: their offsets have gaps.
//!
//! # Invariant
//!
//! Every publication of the channel after the floor is here, up to the sequence number that the history knows. What is
//! dropped, or is known to be missing, raises the floor; only what the log proves lowers it.

use crate::protocol::{Epoch, Publication};
use std::collections::VecDeque;

/// Where a history begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::hub) struct Origin {
    /// Names its incarnation.
    pub(in crate::hub) epoch: Epoch,
    /// The sequence number after which everything is known, where a log numbers publications.
    pub(in crate::hub) floor: Option<u64>,
}

/// Offsets and their floor.
#[derive(Debug)]
pub(super) struct Sparse {
    /// One for each publication.
    pub(super) offsets: VecDeque<u64>,
    /// Every publication after this offset is here.
    pub(super) floor: u64,
    /// The log was asked for what is older.
    pub(super) is_backfilled: bool,
}

/// What the log has of a channel, for a history that lacks it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Backfill {
    /// The incarnation of the log.
    pub epoch: Epoch,
    /// All publications after this offset are among those below.
    pub floor: u64,
    /// ... up to this one: the log was that far, at least, when it was read.
    pub until: u64,
    /// In their order.
    pub publications: Vec<Publication>,
}

impl Sparse {
    pub(super) fn new(floor: u64) -> Self {
        Self { offsets: VecDeque::new(), floor, is_backfilled: false }
    }

    /// Forgets the oldest offset, which is that of a publication that is dropped.
    pub(super) fn pop_oldest(&mut self) {
        if let Some(offset) = self.offsets.pop_front() {
            self.floor = offset;
        }
    }
}
