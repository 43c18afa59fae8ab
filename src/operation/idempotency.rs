//! Idempotency: a publication that is sent again under the same key is not published again; its answer is repeated.
//!
//! Backends retry when an answer does not come, and cannot know whether the publication was made. While the first
//! attempt is under way, further ones wait for it. An attempt that fails leaves nothing, so the next one is made.

use crate::hub::Published;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// Time that an answer is kept, as in Centrifugo: longer than any backend retries.
const KEPT: Duration = Duration::from_secs(300);

/// Most answers that are kept: about 40 MB. At a higher rate than 870 per second the oldest are forgotten early.
const ANSWERS_MAX: usize = 1 << 18;

/// A key has a fixed size here, whatever a backend sends.
type Fingerprint = [u8; 16];

/// An answer, once there is one: where the publication stands, if its channel counts.
type Answer = Arc<OnceCell<Option<Published>>>;

/// The answers of the last minutes.
#[derive(Debug)]
pub(crate) struct Idempotency {
    answers: Mutex<Answers>,
}

#[derive(Debug, Default)]
struct Answers {
    by_key: HashMap<Fingerprint, Answer>,
    /// By age, the oldest first.
    ages: VecDeque<(Instant, Fingerprint)>,
    counts: IdempotencyCounts,
}

/// What became of idempotency keys since the process started.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct IdempotencyCounts {
    /// Publications that were sent again, and not published again.
    pub(crate) repeated: u64,
    /// Answers that were forgotten before their time.
    pub(crate) forgotten: u64,
    /// Answers that are kept now.
    pub(crate) kept: u64,
}

impl Idempotency {
    pub(crate) fn new() -> Self {
        Self { answers: Mutex::default() }
    }

    /// Publishes, or returns what was answered when it was published to that channel under that key before.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is an attempt that failed.
    pub(crate) async fn once<E>(
        &self,
        channel: &str,
        key: &str,
        publish: impl Future<Output = Result<Option<Published>, E>>,
    ) -> Result<Option<Published>, E> {
        let answer = self.answers.lock().open(fingerprint(channel, key), Instant::now(), ANSWERS_MAX);
        answer.get_or_try_init(|| publish).await.copied()
    }

    /// Returns the counts.
    pub(crate) fn counts(&self) -> IdempotencyCounts {
        let answers = self.answers.lock();
        IdempotencyCounts { kept: answers.by_key.len() as u64, ..answers.counts }
    }
}

impl Answers {
    fn open(&mut self, key: Fingerprint, now: Instant, answers_max: usize) -> Answer {
        self.expire(now);
        if let Some(answer) = self.by_key.get(&key) {
            self.counts.repeated += 1;
            return Arc::clone(answer);
        }
        if self.by_key.len() >= answers_max {
            self.counts.forgotten += 1;
            self.forget_oldest();
        }
        self.ages.push_back((now, key));
        let answer = Answer::default();
        self.by_key.insert(key, Arc::clone(&answer));
        answer
    }

    fn expire(&mut self, now: Instant) {
        while self.ages.front().is_some_and(|(since, _)| now.duration_since(*since) >= KEPT) {
            self.forget_oldest();
        }
        // What only a burst needed is given back.
        if self.ages.is_empty() && self.by_key.capacity() > 0 {
            (self.by_key, self.ages) = (HashMap::new(), VecDeque::new());
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.ages.pop_front() {
            self.by_key.remove(&key);
        }
    }
}

/// Returns half of a digest: as good as the whole for telling keys apart. A zero byte is in no channel's name.
fn fingerprint(channel: &str, key: &str) -> Fingerprint {
    let digest = Sha256::new().chain_update(channel).chain_update([0]).chain_update(key).finalize();
    let mut fingerprint = Fingerprint::default();
    fingerprint.copy_from_slice(&digest[..16]);
    fingerprint
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use tokio::time::advance;

    async fn attempt(table: &Idempotency, key: &str, made: &Cell<u64>) -> Result<Option<Published>, ()> {
        let publish = async {
            tokio::task::yield_now().await;
            made.set(made.get() + 1);
            Ok(Some(Published { offset: made.get(), epoch: None }))
        };
        table.once("lobby", key, publish).await
    }

    #[tokio::test(start_paused = true)]
    async fn second_attempt_within_five_minutes_gets_the_first_answer() {
        let (table, made) = (Idempotency::new(), Cell::new(0));
        let first = attempt(&table, "a", &made).await;
        advance(KEPT - Duration::from_millis(1)).await;
        assert_eq!(attempt(&table, "a", &made).await, first);
        assert_eq!(attempt(&table, "b", &made).await.unwrap().unwrap().offset, 2, "another key is another publication");
        advance(Duration::from_millis(1)).await;
        assert_eq!(attempt(&table, "a", &made).await.unwrap().unwrap().offset, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_at_the_same_time_publish_once() {
        let (table, made) = (Idempotency::new(), Cell::new(0));
        let (first, second) = tokio::join!(attempt(&table, "a", &made), attempt(&table, "a", &made));
        assert_eq!((first, made.get()), (second, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn failed_attempt_is_made_again() {
        let (table, made) = (Idempotency::new(), Cell::new(0));
        assert_eq!(table.once("lobby", "a", async { Err(()) }).await, Err(()));
        assert!(attempt(&table, "a", &made).await.is_ok());
        assert_eq!(made.get(), 1);
    }

    #[test]
    fn number_of_answers_is_bounded_and_what_is_forgotten_early_is_counted() {
        let (mut answers, now) = (Answers::default(), Instant::now());
        for key in 0..10 {
            answers.open([key; 16], now, 4);
        }
        assert_eq!((answers.by_key.len(), answers.ages.len(), answers.counts.forgotten), (4, 4, 6));
        answers.open([9; 16], now, 4);
        assert_eq!((answers.counts.repeated, answers.counts.forgotten), (1, 6));
        answers.open([20; 16], now + KEPT, 4);
        assert_eq!((answers.by_key.len(), answers.counts.forgotten), (1, 6));
    }

    #[test]
    fn same_key_in_another_channel_is_another_key() {
        assert_ne!(fingerprint("a", "bc"), fingerprint("ab", "c"));
    }
}
