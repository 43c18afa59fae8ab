//! Rate limits: how many events per second are allowed, and how long to wait after too many.

use std::time::Duration;
use tokio::time::Instant;

/// Longest time in a row that a client over its quota is not read. If it is still over its quota then, it is closed.
const THROTTLED_MAX: Duration = Duration::from_secs(1);

/// Burst of messages, in seconds of their rate.
const BURST_SECONDS: u32 = 2;

/// Counts events in windows of one second, each of which begins with its first event.
#[derive(Clone, Copy, Debug)]
pub struct FixedWindow {
    since: Instant,
    events: u32,
}

impl FixedWindow {
    /// Returns a window without events.
    pub fn new(now: Instant) -> Self {
        Self { since: now, events: 0 }
    }

    /// Counts an event; returns whether it is within `events_max` per second.
    pub fn try_count(&mut self, now: Instant, events_max: u32) -> bool {
        if now.duration_since(self.since) >= Duration::from_secs(1) {
            *self = Self::new(now);
        }
        self.events += 1;
        self.events <= events_max
    }
}

/// Size and refill rate of a [`TokenBucket`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Quota {
    /// Tokens that are added per second.
    pub per_second: u32,
    /// Tokens that a full bucket holds.
    pub burst: u32,
}

impl Quota {
    /// Returns a quota whose burst is `seconds` of its rate.
    pub const fn with_burst(per_second: u32, seconds: u32) -> Self {
        Self { per_second, burst: per_second.saturating_mul(seconds) }
    }
}

/// A token bucket that fills evenly, by the generic cell rate algorithm: it stores when it will be full again.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    full_at: Instant,
}

impl TokenBucket {
    /// Returns a full bucket.
    pub fn new(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Takes `count` tokens, even if they are not there yet. Returns how long the caller has to wait for them.
    pub fn take(&mut self, now: Instant, count: u32, quota: Quota) -> Duration {
        let filling = |tokens: u32| Duration::from_secs(tokens.into()) / quota.per_second.max(1);
        self.full_at = self.full_at.max(now) + filling(count);
        // A request larger than the bucket passes when the bucket is full.
        (self.full_at - now).saturating_sub(filling(quota.burst.max(count)))
    }

    /// Takes one token if there is one.
    ///
    /// # Errors
    ///
    /// The time until there is one.
    pub fn try_take(&mut self, now: Instant, quota: Quota) -> Result<(), Duration> {
        let mut taken = *self;
        match taken.take(now, 1, quota) {
            Duration::ZERO => {
                *self = taken;
                Ok(())
            }
            wait => Err(wait),
        }
    }

    /// Returns whether the bucket is full, so that a new one could replace it.
    pub fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }
}

/// Messages and bytes that a client may send per second.
#[derive(Clone, Copy, Debug)]
pub struct MessageQuota {
    /// Messages, pings and pongs.
    pub messages: u32,
    /// Bytes of messages.
    pub bytes: u32,
}

/// Counts what one client sends against its [`MessageQuota`].
#[derive(Debug)]
pub struct MessageRate {
    messages: TokenBucket,
    bytes: TokenBucket,
    /// Sum of the waits since the last message that did not have to wait.
    throttled: Duration,
}

impl MessageRate {
    /// Returns the account of a client that has sent nothing yet.
    pub fn new(now: Instant) -> Self {
        Self { messages: TokenBucket::new(now), bytes: TokenBucket::new(now), throttled: Duration::ZERO }
    }

    /// Counts a message. Returns how long the client is not to be read because of it; `None` once it has waited too
    /// long and has to be closed.
    pub fn acquire(&mut self, now: Instant, bytes: usize, quota: MessageQuota) -> Option<Duration> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let wait = self.messages.take(now, 1, Quota::with_burst(quota.messages, BURST_SECONDS));
        let wait = wait.max(self.bytes.take(now, bytes, Quota::with_burst(quota.bytes, BURST_SECONDS)));
        self.throttled = if wait.is_zero() { Duration::ZERO } else { self.throttled + wait };
        (self.throttled <= THROTTLED_MAX).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_at_the_rate_pass_and_one_more_does_not() {
        let start = Instant::now();
        let mut window = FixedWindow::new(start);
        assert!((0..50).all(|_| window.try_count(start, 50)));
        assert!(!window.try_count(start + Duration::from_millis(999), 50));
        assert!(window.try_count(start + Duration::from_secs(1), 50));
    }

    #[test]
    fn bucket_gives_its_burst_at_once_and_then_one_per_interval() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(start);
        assert!((0..40).all(|_| bucket.try_take(start, QUOTA).is_ok()));
        assert_eq!(bucket.try_take(start, QUOTA), Err(Duration::from_millis(100)));
        assert_eq!(bucket.try_take(start + Duration::from_millis(100), QUOTA), Ok(()));
        assert!(bucket.try_take(start + Duration::from_millis(100), QUOTA).is_err());
        assert!(!bucket.is_full(start + Duration::from_secs(4)) && bucket.is_full(start + Duration::from_secs(5)));
    }

    const QUOTA: Quota = Quota { per_second: 10, burst: 40 };

    const LIMITS: MessageQuota = MessageQuota { messages: 50, bytes: 1_000 };

    /// docs/threats.md, row 16: back-pressure comes first; only a client that goes on is closed.
    #[test]
    fn client_waits_for_a_second_in_all_and_is_closed_then() {
        let mut now = Instant::now();
        let mut rate = MessageRate::new(now);
        assert!((0..100).all(|_| rate.acquire(now, 1, LIMITS) == Some(Duration::ZERO)), "the burst");
        let mut waits = 0;
        while let Some(wait) = rate.acquire(now, 1, LIMITS) {
            assert_eq!(wait, Duration::from_millis(20));
            (now, waits) = (now + wait, waits + 1);
        }
        assert_eq!(waits, 50);
    }

    #[test]
    fn pause_restores_the_burst() {
        let now = Instant::now();
        let mut rate = MessageRate::new(now);
        assert_eq!(rate.acquire(now, 2_000, LIMITS), Some(Duration::ZERO));
        assert_eq!(rate.acquire(now, 500, LIMITS), Some(Duration::from_millis(500)));
        let later = now + Duration::from_millis(3_000);
        assert_eq!(rate.acquire(later, 1_000, LIMITS), Some(Duration::ZERO));
        assert_eq!(rate.acquire(later, 1_000, LIMITS), Some(Duration::ZERO));
        assert_eq!(rate.acquire(later, 1_000, LIMITS), Some(Duration::from_secs(1)));
        assert_eq!(rate.acquire(later, 1, LIMITS), None);
    }
}
