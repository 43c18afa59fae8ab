//! Asks under way: which answers belong to which, and how many there may be.

use super::collector::{Collected, Collector};
use super::message::{self, Answer, Ask, Question};
use super::registry::Registry;
use crate::engine::nats::link::{Link, Message};
use crate::hub::HubId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;

/// Most asks of this hub at the same time. Further ones wait for their turn, as a part of their time.
const ASKS_MAX: usize = 64;

/// Most parts of answers to one ask that wait until they are looked at. A hub whose part does not fit is missing.
const PARTS_WAITING_MAX: usize = 4096;

/// A part of an answer, and its bytes.
type Part = (Answer, usize);

/// The asks of this hub.
#[derive(Debug)]
pub(super) struct Asks {
    own: HubId,
    /// Where answers come: a number follows.
    inbox: OnceLock<String>,
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, mpsc::Sender<Part>>>,
    permits: Semaphore,
    /// Changes whenever a hub has come or gone.
    hubs: watch::Sender<()>,
}

impl Asks {
    pub(super) fn new(own: HubId) -> Self {
        Self {
            own,
            inbox: OnceLock::new(),
            next: AtomicU64::new(0),
            waiting: Mutex::default(),
            permits: Semaphore::new(ASKS_MAX),
            hubs: watch::Sender::new(()),
        }
    }

    /// Sets where answers come. Until then nobody is asked.
    pub(super) fn open(&self, inbox: String) {
        // There is only one.
        let _ = self.inbox.set(inbox);
    }

    /// Lets asks under way look again at which hubs are there.
    pub(super) fn note_change(&self) {
        self.hubs.send_replace(());
    }

    /// Asks all hubs that are there, or only one of them, and collects what comes until `wait` has passed.
    pub(super) async fn ask(
        &self,
        link: &Link,
        subject: String,
        registry: &Mutex<Registry>,
        only: Option<HubId>,
        question: Question,
        wait: Duration,
    ) -> Collected {
        let mut hubs = self.hubs.subscribe();
        let live = || registry.lock().live().map(|peer| peer.id).collect::<Vec<_>>();
        let asked = live().into_iter().filter(|id| only.is_none_or(|only| only == *id));
        let mut collector = Collector::new(asked);
        let Some(inbox) = self.inbox.get().filter(|_| !collector.is_complete()) else { return collector.finish() };
        let ask = Ask {
            hub: self.own.get(),
            to: only.map_or(0, HubId::get),
            wait_millis: u32::try_from(wait.as_millis()).unwrap_or(u32::MAX),
            question: Some(question),
        };
        let answered = async {
            // Never closed, so there is always a permit in the end.
            let _permit = self.permits.acquire().await;
            let (entry, mut parts) = self.enter();
            let reply = format!("{inbox}.{}", entry.number);
            if let Err(error) = link.publish_with_reply(subject, reply, message::write(&ask)).await {
                tracing::warn!("the other hubs cannot be asked: {error}");
                return;
            }
            while !collector.is_complete() {
                tokio::select! {
                    part = parts.recv() => match part {
                        Some((answer, bytes)) => collector.take(answer, bytes),
                        None => return,
                    },
                    _ = hubs.changed() => collector.expect_only(&live()),
                }
            }
        };
        // Who has not answered until then is missing.
        timeout(wait, answered).await.ok();
        collector.finish()
    }

    /// Passes a part of an answer to the ask that it belongs to, if that still waits.
    pub(super) fn pass(&self, message: &Message) {
        let number = message.subject().rsplit_once('.').and_then(|(_, number)| number.parse().ok());
        let sender = number.and_then(|number: u64| self.waiting.lock().get(&number).cloned());
        let (Some(sender), Some(answer)) = (sender, message::read::<Answer>(message.payload())) else { return };
        // A part that does not fit is a gap, and its hub is missing.
        sender.try_send((answer, message.payload().len())).ok();
    }

    fn enter(&self) -> (Entry<'_>, mpsc::Receiver<Part>) {
        let (sender, parts) = mpsc::channel(PARTS_WAITING_MAX);
        // Relaxed: the number only has to be another one each time.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.waiting.lock().insert(number, sender);
        (Entry { asks: self, number }, parts)
    }
}

/// An ask that is waited for, until this is dropped.
struct Entry<'a> {
    asks: &'a Asks,
    number: u64,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.asks.waiting.lock().remove(&self.number);
    }
}
