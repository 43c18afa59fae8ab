//! The interest in a partition: whether this hub needs it, and whether it follows it.

use parking_lot::Mutex;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// The interest of this hub in one partition.
#[derive(Debug)]
pub struct Interest {
    /// When it was needed last; `None` before it ever was.
    used: Mutex<Option<Instant>>,
    wake: Notify,
    /// Whether everything up to what is announced was delivered here.
    ready: watch::Sender<bool>,
    /// Something was delivered.
    pub(super) progress: Notify,
    /// When something of it came last, while it is followed.
    heard: Mutex<Option<Instant>>,
}

impl Interest {
    pub(super) fn new() -> Self {
        Self {
            used: Mutex::new(None),
            wake: Notify::new(),
            ready: watch::Sender::new(false),
            progress: Notify::new(),
            heard: Mutex::new(None),
        }
    }

    /// Notes that the partition is needed now.
    pub(super) fn touch(&self) {
        let before = self.used.lock().replace(Instant::now());
        if before.is_none() || !*self.ready.borrow() {
            self.wake.notify_one();
        }
    }

    /// Returns whether it was needed within this time.
    pub(super) fn is_used(&self, within: Duration) -> bool {
        self.used.lock().is_some_and(|used| used.elapsed() < within)
    }

    /// Waits until it is needed.
    pub(super) async fn wanted(&self) {
        self.wake.notified().await;
    }

    /// Returns whether it is followed, and waits for that otherwise.
    pub(super) async fn ready(&self) {
        // The sender is in this object, so it is there.
        self.ready.subscribe().wait_for(|is_ready| *is_ready).await.ok();
    }

    pub(super) fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Notes that it is followed from now on, or is not any more.
    pub(super) fn set_ready(&self, is_ready: bool) {
        *self.heard.lock() = is_ready.then(Instant::now);
        self.ready.send_replace(is_ready);
    }

    /// Notes that something of it came.
    pub(super) fn hear(&self, now: Instant) {
        *self.heard.lock() = Some(now);
    }

    /// Returns for how long nothing of it has come; `None` if it is not followed.
    pub fn silence(&self) -> Option<Duration> {
        (*self.heard.lock()).map(|heard| heard.elapsed())
    }
}
