//! Rates: how much a client may do per second, and how long it has to wait when it did more.

use std::time::Duration;
use tokio::time::Instant;

/// Longest time that a client is not read because it says too much; one that still does then is closed.
const THROTTLED_MAX: Duration = Duration::from_secs(1);

/// Seconds of the rate that may come at once.
const BURST_SECONDS: u32 = 2;

/// Counts events per second, in windows that begin with the first event.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    since: Instant,
    events: u32,
}

impl Rate {
    /// Returns a rate without events.
    pub fn new(now: Instant) -> Self {
        Self { since: now, events: 0 }
    }

    /// Counts an event; returns whether it is within `events_max` per second.
    pub fn allow(&mut self, now: Instant, events_max: u32) -> bool {
        if now.duration_since(self.since) >= Duration::from_secs(1) {
            *self = Self::new(now);
        }
        self.events += 1;
        self.events <= events_max
    }
}

/// A bucket of tokens that fills evenly (the generic cell rate algorithm): it holds when it will be full again.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// Returns a full bucket.
    pub fn new(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Takes `count` tokens of a bucket that gets `rate` a second and holds `burst`. Returns how long the caller has to
    /// wait for them to be there; they are taken all the same.
    pub fn take(&mut self, now: Instant, count: u32, (rate, burst): (u32, u32)) -> Duration {
        let filling = |tokens: u32| Duration::from_secs(tokens.into()) / rate.max(1);
        self.full_at = self.full_at.max(now) + filling(count);
        // Larger than the bucket passes when the bucket is full.
        (self.full_at - now).saturating_sub(filling(burst.max(count)))
    }

    /// Takes one token if it is there, else returns how long until it is.
    ///
    /// # Errors
    ///
    /// The time until the next one.
    pub fn try_take(&mut self, now: Instant, limits: (u32, u32)) -> Result<(), Duration> {
        let mut taken = *self;
        match taken.take(now, 1, limits) {
            Duration::ZERO => {
                *self = taken;
                Ok(())
            }
            wait => Err(wait),
        }
    }

    /// Returns whether nothing was taken for long enough: then a new bucket is as good.
    pub fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }
}

/// What a client may say per second.
#[derive(Clone, Copy, Debug)]
pub struct TalkLimits {
    /// Messages, pings and pongs.
    pub messages: u32,
    /// Bytes of messages.
    pub bytes: u32,
}

/// How much a client has said.
#[derive(Debug)]
pub struct Talk {
    messages: Bucket,
    bytes: Bucket,
    /// Waits since the last message that had not to wait.
    throttled: Duration,
}

impl Talk {
    /// Returns the account of a client that has said nothing yet.
    pub fn new(now: Instant) -> Self {
        Self { messages: Bucket::new(now), bytes: Bucket::new(now), throttled: Duration::ZERO }
    }

    /// Counts a message. Returns how long the client is not to be read because of it; `None` when it was told to wait
    /// long enough.
    pub fn say(&mut self, now: Instant, bytes: usize, limits: TalkLimits) -> Option<Duration> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let burst = |rate: u32| (rate, rate.saturating_mul(BURST_SECONDS));
        let wait = self.messages.take(now, 1, burst(limits.messages));
        let wait = wait.max(self.bytes.take(now, bytes, burst(limits.bytes)));
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
        let mut rate = Rate::new(start);
        assert!((0..50).all(|_| rate.allow(start, 50)));
        assert!(!rate.allow(start + Duration::from_millis(999), 50));
        assert!(rate.allow(start + Duration::from_secs(1), 50));
    }

    #[test]
    fn bucket_gives_its_burst_at_once_and_then_one_per_interval() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start);
        assert!((0..40).all(|_| bucket.try_take(start, (10, 40)).is_ok()));
        assert_eq!(bucket.try_take(start, (10, 40)), Err(Duration::from_millis(100)));
        assert_eq!(bucket.try_take(start + Duration::from_millis(100), (10, 40)), Ok(()));
        assert!(bucket.try_take(start + Duration::from_millis(100), (10, 40)).is_err());
        assert!(!bucket.is_full(start + Duration::from_secs(4)) && bucket.is_full(start + Duration::from_secs(5)));
    }

    const LIMITS: TalkLimits = TalkLimits { messages: 50, bytes: 1_000 };

    /// Threats row 16: back-pressure first, and only who goes on is closed.
    #[test]
    fn talker_waits_for_a_second_in_all_and_is_closed_then() {
        let mut now = Instant::now();
        let mut talk = Talk::new(now);
        assert!((0..100).all(|_| talk.say(now, 1, LIMITS) == Some(Duration::ZERO)), "the burst");
        let mut waits = 0;
        while let Some(wait) = talk.say(now, 1, LIMITS) {
            assert_eq!(wait, Duration::from_millis(20));
            (now, waits) = (now + wait, waits + 1);
        }
        assert_eq!(waits, 50);
    }

    #[test]
    fn pause_makes_good_what_was_too_much() {
        let now = Instant::now();
        let mut talk = Talk::new(now);
        assert_eq!(talk.say(now, 2_000, LIMITS), Some(Duration::ZERO));
        assert_eq!(talk.say(now, 500, LIMITS), Some(Duration::from_millis(500)));
        let later = now + Duration::from_millis(3_000);
        assert_eq!(talk.say(later, 1_000, LIMITS), Some(Duration::ZERO));
        assert_eq!(talk.say(later, 1_000, LIMITS), Some(Duration::ZERO));
        assert_eq!(talk.say(later, 1_000, LIMITS), Some(Duration::from_secs(1)));
        assert_eq!(talk.say(later, 1, LIMITS), None);
    }
}
