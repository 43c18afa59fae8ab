//! Coalescing: how long a shard waits for more publications before it fans them out.
//!
//! Only fan-outs wait. Commands are taken meanwhile, so that no publisher is held up, and what concerns one connection
//! leaves at once: pongs, closes, the backlog of a connection that is being closed.

use super::log::WINDOW_MAX;
use std::time::Duration;

/// The publications that wait, and until when.
#[derive(Debug)]
pub(super) struct Coalescing {
    delay: Duration,
    /// When the first of them has to leave, as time since the hub's start; `None` while there is none.
    until: Option<Duration>,
    bytes: u64,
    is_open: bool,
}

impl Coalescing {
    pub(super) fn new(delay: Duration) -> Self {
        Self { delay, until: None, bytes: 0, is_open: false }
    }

    /// Counts what a pass that began at `now` appended, and decides whether it waits.
    pub(super) fn advance(&mut self, now: Duration, appended: usize) {
        if appended > 0 {
            self.bytes += appended as u64;
            self.until.get_or_insert(now + self.delay);
        }
        // More than a message may hold gains nothing by waiting, and must not pile up.
        self.is_open = self.bytes < WINDOW_MAX && self.until.is_some_and(|until| now < until);
    }

    /// Returns whether publications wait.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Returns when what waits has to leave.
    pub(super) fn until(&self) -> Option<Duration> {
        self.until
    }

    /// Begins anew: everything has left.
    pub(super) fn end(&mut self) {
        *self = Self::new(self.delay);
    }
}
