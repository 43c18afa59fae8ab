//! A clock and a timer: nanoseconds of `CLOCK_MONOTONIC`, and a wake-up that is exact to some 50 microseconds.
//!
//! All processes of a machine share that clock, so a message may be sent by one worker and timed by another.
//! `epoll_wait` rounds its timeout up to whole milliseconds, which would be measured as the server's latency.

use anyhow::Result;
use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};
use rustix::time::{ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use rustix::time::{clock_gettime, timerfd_create, timerfd_settime};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// Reads the clock.
#[inline]
pub(crate) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // Neither is ever negative on this clock.
    u64::try_from(now.tv_sec).unwrap_or_default() * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default()
}

/// Returns nanoseconds of a duration; `u64::MAX` if that is 584 years or more.
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns nanoseconds between two readings, in seconds.
pub(crate) fn seconds(from_ns: u64, to_ns: u64) -> f64 {
    Duration::from_nanos(to_ns.saturating_sub(from_ns)).as_secs_f64()
}

/// A timer that wakes a poll.
#[derive(Debug)]
pub(crate) struct Timer {
    fd: OwnedFd,
    armed_ns: u64,
}

impl Timer {
    /// Returns a timer that wakes `poll` with `token`.
    ///
    /// # Errors
    ///
    /// Fails when the process has no descriptor left.
    pub(crate) fn new(poll: &Poll, token: Token) -> Result<Self> {
        let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        poll.registry().register(&mut SourceFd(&fd.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { fd, armed_ns: u64::MAX })
    }

    /// Sets the wake-up to `due_ns`; costs a system call only if it changes.
    ///
    /// # Errors
    ///
    /// Fails as `timerfd_settime` does: never for a valid timer.
    pub(crate) fn arm(&mut self, due_ns: u64, now_ns: u64) -> Result<()> {
        if due_ns == self.armed_ns || due_ns == u64::MAX {
            return Ok(());
        }
        // Zero would disarm the timer.
        let left = Duration::from_nanos(due_ns.saturating_sub(now_ns).max(1));
        let it_value = Timespec { tv_sec: i64::try_from(left.as_secs())?, tv_nsec: left.subsec_nanos().into() };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &Itimerspec { it_interval, it_value })?;
        self.armed_ns = due_ns;
        Ok(())
    }
}
