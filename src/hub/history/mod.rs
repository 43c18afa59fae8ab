//! History: the newest publications of a channel, for those who come late or were away.
//!
//! It lives behind the channel's lock, so what a subscriber gets from it and what it gets after fit together without a
//! gap or a duplicate. It is bounded three times: by number and by age in each channel, and by bytes in all of them.

mod budget;
mod ring;
mod sparse;

pub(super) use budget::Budget;
pub(super) use ring::{History, Kept};
pub(super) use sparse::Origin;
pub use sparse::{Backfill, Logged};

use crate::config::ChannelOptions;
use std::time::Duration;

/// Most publications that are sent to one subscriber at its start. One that missed more has to begin anew.
pub const RECOVERED_MAX: usize = 300;

/// What a channel keeps.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HistoryOptions {
    /// Publications; 0 for no history.
    pub size: usize,
    /// Age at which a publication is dropped.
    pub ttl: Duration,
}

impl HistoryOptions {
    /// Returns what the options of a channel say.
    pub fn of(options: &ChannelOptions) -> Self {
        Self { size: options.options.history_size, ttl: options.options.history_ttl }
    }

    /// Returns whether anything is kept.
    pub fn is_on(self) -> bool {
        self.size > 0 && !self.ttl.is_zero()
    }

    fn ttl_micros(self) -> u64 {
        u64::try_from(self.ttl.as_micros()).unwrap_or(u64::MAX)
    }
}
