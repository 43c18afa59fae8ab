//! The sender: one task that posts what is queued, in order, until it is taken.

use super::event::{self, Event};
use super::signature::Signer;
use crate::config::{HttpUrl, WebhookSecret};
use crate::http::outbound::{HttpClient, PostError};
use crate::metrics::Metrics;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};

/// Most events of one request.
const BATCH_MAX: usize = 256;

/// Time for one attempt: the application has to take the events, not to work on them.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// Time until the second attempt; each further one waits twice as long.
const BACKOFF_MIN: Duration = Duration::from_millis(500);

/// Longest time between two attempts: so soon after it is back the application gets what it missed.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// Most bytes of a response, which nobody reads.
const RESPONSE_BYTES_MAX: usize = 64 * 1024;

/// Events that wait or are on their way, and those that were dropped.
#[derive(Debug, Default)]
pub(super) struct Queued {
    count: AtomicUsize,
    lost: AtomicU64,
    is_empty: Notify,
}

impl Queued {
    pub(super) fn add(&self) {
        // Relaxed, here and below: the numbers order nothing else.
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn drop_one(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.remove(1);
    }

    /// Returns how many events were dropped since the last call.
    pub(super) fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }

    fn remove(&self, count: usize) {
        if self.count.fetch_sub(count, Ordering::Relaxed) == count {
            self.is_empty.notify_waiters();
        }
    }
}

/// Posts events.
#[derive(Debug)]
pub(crate) struct EventSender {
    url: HttpUrl,
    signer: Signer,
    events: mpsc::Receiver<Event>,
    queued: Arc<Queued>,
    metrics: Arc<Metrics>,
    client: HttpClient,
    /// Ids of requests differ between two runs of the hub, and count within one.
    run: u64,
    requests: u64,
}

/// Waits for events that are not sent yet.
#[derive(Debug)]
pub(crate) struct UnsentEvents(Arc<Queued>);

impl UnsentEvents {
    /// Returns the number of events that are not taken yet.
    pub(crate) fn count(&self) -> usize {
        self.0.count.load(Ordering::Relaxed)
    }

    /// Waits until all events are taken.
    pub(crate) async fn sent(&self) {
        loop {
            // Before the check, so that no change between the two is missed.
            let is_empty = self.0.is_empty.notified();
            if self.count() == 0 {
                return;
            }
            is_empty.await;
        }
    }
}

impl EventSender {
    pub(super) fn new(
        url: HttpUrl,
        secret: &WebhookSecret,
        events: mpsc::Receiver<Event>,
        queued: Arc<Queued>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (signer, client) = (Signer::new(secret), HttpClient::new());
        let run = metrics.time_of_day(Duration::ZERO);
        Self { url, signer, events, queued, metrics, client, run, requests: 0 }
    }

    /// Returns how what is not sent yet can be waited for.
    pub(crate) fn unsent(&self) -> UnsentEvents {
        UnsentEvents(Arc::clone(&self.queued))
    }

    /// Sends, for ever.
    pub(crate) async fn run(mut self) {
        let mut batch = Vec::new();
        while self.events.recv_many(&mut batch, BATCH_MAX).await > 0 {
            let lost = self.queued.take_lost();
            self.requests += 1;
            let id = format!("msg_{:x}_{}", self.run, self.requests);
            self.deliver(&id, event::body(&batch, lost)).await;
            Metrics::add(&self.metrics.process.events_sent, batch.len() as u64);
            self.queued.remove(batch.len());
            batch.clear();
        }
    }

    /// Posts a request again and again, until it is taken.
    async fn deliver(&self, id: &str, body: Bytes) {
        let mut backoff = BACKOFF_MIN;
        while let Err(error) = self.attempt(id, body.clone()).await {
            Metrics::count(&self.metrics.process.events_retries);
            let wait = humantime::format_duration(backoff);
            tracing::warn!(
                "--events-url {} does not take events, the next attempt is in {wait}: {error}",
                self.url.authority()
            );
            sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    async fn attempt(&self, id: &str, body: Bytes) -> Result<(), PostError> {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let headers = self.signer.headers(id, seconds, &body);
        let posting = self.client.post(&self.url, headers, body, RESPONSE_BYTES_MAX);
        let late = || PostError::Connection(format!("no response within {} s", ATTEMPT_TIMEOUT.as_secs()));
        match timeout(ATTEMPT_TIMEOUT, posting).await.unwrap_or_else(|_| Err(late())) {
            // The events are taken, whatever follows.
            Ok(_) | Err(PostError::Body(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
