//! A clock that pauses do not advance: time since the hub's start, without the time for which the process was stopped.

use std::time::Duration;

/// Longest step that counts in full. A shard advances its clock several times a second while it has connections.
const STEP_MAX: Duration = Duration::from_secs(1);

/// Period of the tick: the granularity of deadlines, and 20 short wake-ups per second of an otherwise idle shard.
pub(super) const TICK: Duration = Duration::from_millis(50);

/// The time that deadlines are measured in.
///
/// After SIGSTOP, or a suspended machine, the answers to our pings are still unread in the sockets; deadlines that had
/// gone on meanwhile would end every connection at once.
#[derive(Debug, Default)]
pub(super) struct Clock {
    last: Duration,
    time: Duration,
    ticked: Duration,
}

impl Clock {
    /// Moves to `now`, the time since the hub's start.
    pub(super) fn advance(&mut self, now: Duration) {
        self.time += now.saturating_sub(self.last).min(STEP_MAX);
        self.last = now;
    }

    pub(super) fn time(&self) -> Duration {
        self.time
    }

    /// Returns the time in whole seconds; 136 years fit.
    pub(super) fn seconds(&self) -> u32 {
        u32::try_from(self.time.as_secs()).unwrap_or(u32::MAX)
    }

    /// Returns whether a tick is due, and if so starts the period of the next one.
    pub(super) fn take_tick(&mut self) -> bool {
        let is_due = self.last.saturating_sub(self.ticked) >= TICK;
        if is_due {
            self.ticked = self.last;
        }
        is_due
    }

    /// Returns when the next tick is due, as time since the hub's start.
    pub(super) fn next_tick(&self) -> Duration {
        self.ticked + TICK
    }
}
