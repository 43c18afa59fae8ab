//! The handshakes in progress: limited in total and per address.
//!
//! Without limits a flood of connections that never finish would lock out all others for as long as a handshake may
//! take. At the limit of its address a connection waits for its turn, first come first served: a crowd behind one
//! address, back after a deploy, is served within milliseconds that way. For each one that waits a handshake in
//! progress is marked, and ended once it is no longer young, so that only unfinished handshakes are cut. Connections
//! beyond [`WAITING_PER_SLOT`] are refused with an answer.
//!
//! At the limit in total the oldest of all is ended. A young one is never ended for that: new ones wait in the kernel's
//! queue meanwhile.

use crate::net::address::AddressKey;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until, timeout_at};

/// Age at which an unfinished handshake may be ended for a new one: one round trip around the world.
const EVICTION_AGE_MIN: Duration = Duration::from_millis(300);

/// Connections of one address that may wait for each handshake that it may have in progress. One that waits takes
/// about 2 KB.
const WAITING_PER_SLOT: usize = 16;

/// The HTTP connections that are open: handshakes, and pages being fetched.
#[derive(Debug)]
pub(crate) struct Handshakes {
    table: Mutex<Table>,
    /// Notified when one ends.
    ended: Notify,
}

#[derive(Debug, Default)]
struct Table {
    next_number: u64,
    /// By number, and so by age.
    open: BTreeMap<u64, Open>,
    addresses: HashMap<AddressKey, Address>,
    /// Of all addresses together.
    waiting: usize,
}

#[derive(Debug)]
struct Open {
    key: Option<AddressKey>,
    since: Instant,
    /// It has had a response and asks for nothing.
    is_idle: bool,
    eviction: Arc<Eviction>,
}

/// The handshakes of one address.
#[derive(Debug, Default)]
struct Address {
    in_progress: usize,
    /// Those in progress that are not marked yet, the oldest first.
    unmarked: VecDeque<u64>,
    /// Those that wait for their turn, the first one first.
    waiting: VecDeque<oneshot::Sender<HandshakeGuard>>,
}

/// Tells a handshake that it has to make room.
#[derive(Debug, Default)]
struct Eviction {
    marked: Notify,
    /// It has to end now. Otherwise it has time until it is no longer young.
    is_immediate: AtomicBool,
}

/// One handshake in progress; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct HandshakeGuard {
    handshakes: Arc<Handshakes>,
    number: u64,
    key: Option<AddressKey>,
    since: Instant,
    eviction: Arc<Eviction>,
}

/// How many handshakes may be in progress.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HandshakeQuota {
    /// Of all addresses together.
    pub(crate) max: usize,
    /// Of one address.
    pub(crate) per_address_max: usize,
}

/// When a new handshake may begin.
#[derive(Debug)]
pub(crate) enum Turn {
    /// Now.
    Now(HandshakeGuard),
    /// When this returns its guard: others of the same address come first.
    Later(oneshot::Receiver<HandshakeGuard>),
    /// Never: too many of the same address wait already.
    Never,
}

impl Handshakes {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { table: Mutex::default(), ended: Notify::new() })
    }

    /// Waits until there is room for one more, or until the oldest one may be ended for it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub(crate) async fn wait_for_room(&self, max: usize) {
        loop {
            let ended = self.ended.notified();
            let Some(evictable_at) = self.evictable_at(max) else { return };
            // Whichever comes first, another task may have taken the room: check again.
            drop(timeout_at(evictable_at, ended).await);
        }
    }

    /// Returns when the oldest one may be ended; `None` if it may be now, or if there is room.
    fn evictable_at(&self, max: usize) -> Option<Instant> {
        let table = self.table.lock();
        let (_, oldest) = table.open.first_key_value().filter(|_| table.open.len() >= max)?;
        Some(oldest.since + EVICTION_AGE_MIN).filter(|evictable_at| *evictable_at > Instant::now())
    }

    /// Begins a handshake as soon as it may. It counts for an address unless `key` is `None`. Beyond the limit in total
    /// the oldest one is ended.
    pub(crate) fn begin(self: &Arc<Self>, key: Option<AddressKey>, quota: HandshakeQuota) -> Turn {
        let mut table = self.table.lock();
        let all_waiting = table.waiting;
        if let Some(address) = key.and_then(|key| table.addresses.get_mut(&key)) {
            let waiting = address.waiting.len();
            if waiting >= quota.per_address_max.saturating_mul(WAITING_PER_SLOT) || all_waiting >= quota.max {
                return Turn::Never;
            }
            if waiting > 0 || address.in_progress >= quota.per_address_max {
                let (turn, later) = oneshot::channel();
                address.waiting.push_back(turn);
                table.waiting += 1;
                table.make_room(key);
                return Turn::Later(later);
            }
        }
        if table.open.len() >= quota.max {
            table.evict_oldest();
        }
        Turn::Now(self.start(&mut table, key))
    }

    fn start(self: &Arc<Self>, table: &mut Table, key: Option<AddressKey>) -> HandshakeGuard {
        let (number, since, eviction) = (table.next_number, Instant::now(), Arc::<Eviction>::default());
        table.next_number += 1;
        table.open.insert(number, Open { key, since, is_idle: false, eviction: Arc::clone(&eviction) });
        if let Some(key) = key {
            let address = table.addresses.entry(key).or_default();
            address.in_progress += 1;
            address.unmarked.push_back(number);
        }
        HandshakeGuard { handshakes: Arc::clone(self), number, key, since, eviction }
    }

    /// Begins the handshake that has waited longest among those of an address.
    fn start_next(self: &Arc<Self>, key: AddressKey) {
        let mut table = self.table.lock();
        let Some(address) = table.addresses.get_mut(&key) else { return };
        let Some(turn) = address.waiting.pop_front() else {
            if address.in_progress == 0 {
                table.addresses.remove(&key);
            }
            return;
        };
        table.waiting -= 1;
        let guard = self.start(&mut table, Some(key));
        // If more wait than are marked, this one has to make room as well once it is no longer young.
        if let Some(address) = table.addresses.get_mut(&key)
            && address.waiting.len() > address.in_progress - address.unmarked.len()
        {
            let oldest = address.unmarked.pop_front();
            table.mark(oldest);
        }
        drop(table);
        // One that has not waited until now returns its guard, and the next one begins.
        drop(turn.send(guard));
    }

    /// Returns how many are in progress.
    pub(crate) fn len(&self) -> u64 {
        self.table.lock().open.len() as u64
    }

    /// Waits until none is in progress.
    pub(crate) async fn finished(&self) {
        loop {
            let ended = self.ended.notified();
            if self.table.lock().open.is_empty() {
                return;
            }
            ended.await;
        }
    }
}

impl Table {
    /// Tells a handshake that it has to make room once it is no longer young.
    fn mark(&self, number: Option<u64>) {
        if let Some(open) = number.and_then(|number| self.open.get(&number)) {
            open.eviction.marked.notify_one();
        }
    }

    /// Makes room for one that waits: ends a connection of the address that asks for nothing, or marks its oldest
    /// handshake.
    fn make_room(&mut self, key: Option<AddressKey>) {
        let is_candidate = |(_, open): &(&u64, &Open)| open.is_idle && open.key == key;
        if let Some(idle) = self.open.iter().find(is_candidate).map(|(number, _)| *number) {
            return self.evict(idle);
        }
        let oldest = key.and_then(|key| self.addresses.get_mut(&key)).and_then(|address| address.unmarked.pop_front());
        self.mark(oldest);
    }

    /// Ends the oldest of all, one that asks for nothing before any other.
    fn evict_oldest(&mut self) {
        let idle = self.open.iter().find(|(_, open)| open.is_idle);
        if let Some(number) = idle.or_else(|| self.open.iter().next()).map(|(number, _)| *number) {
            self.evict(number);
        }
    }

    fn evict(&mut self, number: u64) {
        if let Some(open) = self.remove(number) {
            open.eviction.is_immediate.store(true, Ordering::Relaxed);
            open.eviction.marked.notify_one();
        }
    }

    /// Removes a handshake, so that it no longer counts.
    fn remove(&mut self, number: u64) -> Option<Open> {
        let open = self.open.remove(&number)?;
        if let Some(key) = open.key
            && let Some(address) = self.addresses.get_mut(&key)
        {
            address.in_progress -= 1;
            address.unmarked.retain(|unmarked| *unmarked != number);
        }
        Some(open)
    }
}

impl HandshakeGuard {
    /// Waits until this handshake has to end to make room.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: after a dropped call, another one may wait although this handshake has to end.
    pub(crate) async fn evicted(&self) {
        self.eviction.marked.notified().await;
        if !self.eviction.is_immediate.load(Ordering::Relaxed) {
            tokio::select! {
                () = sleep_until(self.since + EVICTION_AGE_MIN) => {}
                // There is no room left in total either.
                () = self.eviction.marked.notified() => {}
            }
        }
    }

    /// Notes whether the connection asks for nothing at the moment: then it makes room first, and at once if another
    /// one waits for it.
    pub(crate) fn set_idle(&self, is_idle: bool) {
        let mut table = self.handshakes.table.lock();
        let Some(open) = table.open.get_mut(&self.number) else { return };
        let has_changed = open.is_idle != is_idle;
        open.is_idle = is_idle;
        let address = self.key.and_then(|key| table.addresses.get(&key));
        if has_changed && is_idle && address.is_some_and(|address| !address.waiting.is_empty()) {
            table.evict(self.number);
        }
    }
}

impl Drop for HandshakeGuard {
    fn drop(&mut self) {
        // Returns `None` if it was evicted, which has removed it.
        drop(self.handshakes.table.lock().remove(self.number));
        if let Some(key) = self.key {
            self.handshakes.start_next(key);
        }
        self.handshakes.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};
    use tokio::time::advance;

    fn key(number: u8) -> Option<AddressKey> {
        Some(IpAddr::from(Ipv4Addr::new(192, 0, 2, number)).into())
    }

    fn quota(max: usize, per_address_max: usize) -> HandshakeQuota {
        HandshakeQuota { max, per_address_max }
    }

    impl Turn {
        fn now(self) -> HandshakeGuard {
            let Self::Now(guard) = self else { panic!("{self:?}") };
            guard
        }

        fn later(self) -> oneshot::Receiver<HandshakeGuard> {
            let Self::Later(turn) = self else { panic!("{self:?}") };
            turn
        }
    }

    /// Returns whether a handshake has to end within the next millisecond.
    async fn is_evicted(guard: &HandshakeGuard) -> bool {
        tokio::time::timeout(Duration::from_millis(1), guard.evicted()).await.is_ok()
    }

    /// docs/threats.md, row 2: unfinished handshakes of one address make room for each other, and for no other.
    #[tokio::test(start_paused = true)]
    async fn oldest_handshake_of_an_address_makes_room_for_its_next_one() {
        let handshakes = Handshakes::new();
        let neighbour = handshakes.begin(key(2), quota(10, 2)).now();
        let first = handshakes.begin(key(1), quota(10, 2)).now();
        let second = handshakes.begin(key(1), quota(10, 2)).now();
        advance(EVICTION_AGE_MIN).await;
        let mut third = handshakes.begin(key(1), quota(10, 2)).later();
        assert!(is_evicted(&first).await);
        assert!(!is_evicted(&second).await && !is_evicted(&neighbour).await);
        assert!(third.try_recv().is_err(), "it waits until the first one has ended");
        drop(first);
        assert!(third.try_recv().is_ok());
    }

    /// A crowd behind one address connects at once, and each of it finishes within milliseconds.
    #[tokio::test(start_paused = true)]
    async fn crowd_of_one_address_waits_and_is_served_first_come_first_served() {
        let handshakes = Handshakes::new();
        let mut open = VecDeque::from([(); 2].map(|()| handshakes.begin(key(1), quota(100, 2)).now()));
        let mut waiting: VecDeque<_> = (0..30).map(|_| handshakes.begin(key(1), quota(100, 2)).later()).collect();
        assert_eq!(handshakes.len(), 2, "those that wait are not in progress");
        while let Some(mut next) = waiting.pop_front() {
            assert!(next.try_recv().is_err());
            assert!(!is_evicted(&open[0]).await, "it is young");
            open.pop_front();
            open.push_back(next.try_recv().expect("it is the first one"));
            assert!(waiting.iter_mut().all(|later| later.try_recv().is_err()), "the others come later");
        }
        drop(open);
        let table = handshakes.table.lock();
        assert!(table.open.is_empty() && table.addresses.is_empty() && table.waiting == 0, "{table:?}");
    }

    /// A handshake that never ends is cut only if another one waits for it, and only once it is no longer young.
    #[tokio::test(start_paused = true)]
    async fn unfinished_handshakes_make_room_one_after_the_other() {
        let handshakes = Handshakes::new();
        let mut open = handshakes.begin(key(1), quota(100, 1)).now();
        assert!(!is_evicted(&open).await);
        for mut later in [(); 5].map(|()| handshakes.begin(key(1), quota(100, 1)).later()) {
            let start = Instant::now();
            tokio::time::timeout(2 * EVICTION_AGE_MIN, open.evicted()).await.expect("one waits for it");
            assert!(start.elapsed() + Duration::from_millis(1) >= EVICTION_AGE_MIN, "{:?}", start.elapsed());
            drop(open);
            open = later.try_recv().expect("it is the next one");
        }
        assert!(!is_evicted(&open).await, "nothing waits for it");
    }

    /// The queue of an address is bounded, and one that has gone does not hold it up.
    #[tokio::test(start_paused = true)]
    async fn queue_of_an_address_is_bounded() {
        let handshakes = Handshakes::new();
        let first = handshakes.begin(key(1), quota(100, 1)).now();
        let mut waiting: Vec<_> =
            (0..WAITING_PER_SLOT).map(|_| handshakes.begin(key(1), quota(100, 1)).later()).collect();
        assert!(matches!(handshakes.begin(key(1), quota(100, 1)), Turn::Never));
        assert!(matches!(handshakes.begin(key(2), quota(100, 1)), Turn::Now(_)), "another address is not affected");
        waiting.drain(..WAITING_PER_SLOT - 1);
        drop(first);
        assert!(waiting[0].try_recv().is_ok(), "those before it have gone");
    }

    /// Browsers keep connections that have had their page; they must not cost another visitor a handshake.
    #[tokio::test(start_paused = true)]
    async fn idle_connection_makes_room_before_older_handshakes() {
        let handshakes = Handshakes::new();
        let first = handshakes.begin(key(1), quota(10, 2)).now();
        let second = handshakes.begin(key(1), quota(10, 2)).now();
        second.set_idle(true);
        let mut third = handshakes.begin(key(1), quota(10, 2)).later();
        assert!(is_evicted(&second).await && !is_evicted(&first).await);
        drop(second);
        let third = third.try_recv().expect("there is room for it");
        let mut fourth = handshakes.begin(key(1), quota(10, 2)).later();
        third.set_idle(true);
        assert!(is_evicted(&third).await, "one waits for it already");
        drop(third);
        assert!(fourth.try_recv().is_ok());
    }

    /// An exempt address counts in total only.
    #[tokio::test(start_paused = true)]
    async fn oldest_handshake_of_all_makes_room_once_it_is_no_longer_young() {
        let handshakes = Handshakes::new();
        let (first, second) = (handshakes.begin(None, quota(2, 1)).now(), handshakes.begin(None, quota(2, 1)).now());
        let start = Instant::now();
        handshakes.wait_for_room(2).await;
        assert_eq!(start.elapsed(), EVICTION_AGE_MIN);
        let _third = handshakes.begin(None, quota(2, 1)).now();
        assert!(is_evicted(&first).await && !is_evicted(&second).await);
    }

    #[tokio::test(start_paused = true)]
    async fn handshake_that_ends_makes_room_at_once() {
        let handshakes = Handshakes::new();
        let (first, second) = (handshakes.begin(None, quota(2, 1)).now(), handshakes.begin(None, quota(2, 1)).now());
        let start = Instant::now();
        let (_, ()) = tokio::join!(async { drop(first) }, handshakes.wait_for_room(2));
        assert_eq!(start.elapsed(), Duration::ZERO);
        let third = handshakes.begin(None, quota(2, 1)).now();
        assert!(!is_evicted(&second).await && !is_evicted(&third).await);
    }
}
