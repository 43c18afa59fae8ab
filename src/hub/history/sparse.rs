//! What the history of a channel has besides, where a log numbers its publications: their offsets have gaps, and the
//! times that they arrived at are those of other hubs, whose clocks may differ from the one here.
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

/// Places and their floor.
#[derive(Debug)]
pub(super) struct Sparse {
    /// One for each publication.
    pub(super) places: VecDeque<Place>,
    /// Every publication after this offset is here.
    pub(super) floor: u64,
    /// The log was asked for what is older.
    pub(super) is_backfilled: bool,
}

/// Where a publication stands in the log, and since when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) stored_at: u64,
}

/// A publication of the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Logged {
    /// The publication; the time in it is that of the hub where it arrived.
    pub publication: Publication,
    /// When the log stored it, by the clock of this hub, in microseconds since 1970.
    pub stored_at: u64,
}

impl Logged {
    pub(super) fn place(&self) -> Place {
        Place { offset: self.publication.offset, stored_at: self.stored_at }
    }
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
    pub publications: Vec<Logged>,
}

impl Sparse {
    pub(super) fn new(floor: u64) -> Self {
        Self { places: VecDeque::new(), floor, is_backfilled: false }
    }

    /// Forgets the oldest place, which is that of a publication that is dropped.
    pub(super) fn pop_oldest(&mut self) {
        if let Some(oldest) = self.places.pop_front() {
            self.floor = oldest.offset;
        }
    }
}
