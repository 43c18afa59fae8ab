//! The waker of a shard: for commands in its inbox, and for sockets that take bytes again.

use super::sleep_flag::SleepFlag;
use crate::hub::id::Slot;
use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Wakes a shard once per sleep.
#[derive(Debug, Default)]
pub(in crate::hub) struct ShardWaker {
    /// Alone on its cache line: every producer reads it, and it changes only when the shard sleeps or wakes.
    sleep: CachePadded<SleepFlag>,
    notify: Notify,
    /// Slots whose sockets take bytes again. Bounded: a slot is listed once, see [`SlotWaker`].
    writable: Mutex<Vec<Slot>>,
}

impl ShardWaker {
    /// Wakes the shard if it sleeps.
    pub(in crate::hub) fn wake(&self) {
        if self.sleep.wake() {
            self.notify.notify_one();
        }
    }

    /// Moves the slots that became writable to `slots`, each once.
    pub(in crate::hub) fn take_writable(&self, slots: &mut Vec<Slot>) {
        slots.append(&mut self.writable.lock());
    }

    pub(in crate::hub) fn prepare_sleep(&self, is_queue_empty: impl Fn() -> bool) -> Option<Notified<'_>> {
        self.sleep.prepare_sleep();
        // The second look. A wake-up between here and the wait is not lost: `Notify` keeps one permit.
        (is_queue_empty() && self.writable.lock().is_empty()).then(|| self.notify.notified())
    }

    pub(in crate::hub) fn end_sleep(&self) -> bool {
        self.sleep.end_sleep()
    }
}

/// What the runtime calls when the socket of a parked connection takes bytes again.
#[derive(Debug)]
pub(in crate::hub) struct SlotWaker {
    waker: Arc<ShardWaker>,
    slot: Slot,
    is_listed: AtomicBool,
}

impl SlotWaker {
    pub(in crate::hub) fn new(waker: Arc<ShardWaker>, slot: Slot) -> Self {
        Self { waker, slot, is_listed: AtomicBool::new(false) }
    }

    /// Allows the next wake-up to list the slot again. Call it before asking the sink.
    pub(in crate::hub) fn arm(&self) {
        // Release: what the shard did with the slot happens before the next listing.
        self.is_listed.store(false, Ordering::Release);
    }
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // AcqRel: pairs with `arm`; the list stays bounded by the number of slots.
        if !self.is_listed.swap(true, Ordering::AcqRel) {
            self.waker.writable.lock().push(self.slot);
            self.waker.wake();
        }
    }
}
