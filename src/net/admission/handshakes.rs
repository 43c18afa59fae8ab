//! The handshakes in progress: limited in total and per address; the oldest one is ended to make room for a new one.
//!
//! Otherwise a flood of connections that never finish would lock out all others for as long as a handshake may take. A
//! young handshake is never ended, even if there is no room: honest clients finish theirs within milliseconds, so new
//! ones wait in the kernel's queue meanwhile.

use crate::net::address::AddressKey;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::{Instant, timeout_at};

/// Age at which an unfinished handshake may be ended for a new one: one round trip around the world.
const EVICTION_AGE_MIN: Duration = Duration::from_millis(300);

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
    by_address: HashMap<AddressKey, usize>,
}

#[derive(Debug)]
struct Open {
    key: Option<AddressKey>,
    since: Instant,
    /// It has had a response and asks for nothing.
    is_idle: bool,
    evicted: Arc<Notify>,
}

/// One handshake in progress; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct HandshakeGuard {
    handshakes: Arc<Handshakes>,
    number: u64,
    evicted: Arc<Notify>,
}

/// How many handshakes may be in progress.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HandshakeQuota {
    /// Of all addresses together.
    pub(crate) max: usize,
    /// Of one address.
    pub(crate) per_address_max: usize,
}

/// Whether a new handshake ended an older one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Eviction {
    /// There was room.
    None,
    /// The oldest one, of all or of the same address, was ended to make room.
    Oldest,
    /// A connection that asks for nothing was ended to make room, which refuses no request.
    Idle,
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

    /// Begins a handshake. It counts for an address unless `key` is `None`. Beyond a limit the oldest one is ended.
    pub(crate) fn begin(
        self: &Arc<Self>,
        key: Option<AddressKey>,
        quota: HandshakeQuota,
    ) -> (HandshakeGuard, Eviction) {
        let mut table = self.table.lock();
        let same_address = key.and_then(|key| table.by_address.get(&key)).copied().unwrap_or_default();
        // An address at its limit makes room among its own, so that it cannot evict the handshakes of others.
        let is_address_full = same_address >= quota.per_address_max;
        let is_candidate = |open: &Open| !is_address_full || open.key == key;
        let oldest = if is_address_full || table.open.len() >= quota.max {
            let mut candidates = table.open.iter().filter(|(_, open)| is_candidate(open));
            let oldest = candidates.clone().next();
            candidates.find(|(_, open)| open.is_idle).or(oldest).map(|(number, _)| *number)
        } else {
            None
        };
        let eviction = match oldest.and_then(|number| table.remove(number)) {
            Some(open) => {
                open.evicted.notify_one();
                if open.is_idle { Eviction::Idle } else { Eviction::Oldest }
            }
            None => Eviction::None,
        };
        let (number, notify) = (table.next_number, Arc::new(Notify::new()));
        table.next_number += 1;
        table.open.insert(number, Open { key, since: Instant::now(), is_idle: false, evicted: Arc::clone(&notify) });
        if let Some(key) = key {
            *table.by_address.entry(key).or_default() += 1;
        }
        (HandshakeGuard { handshakes: Arc::clone(self), number, evicted: notify }, eviction)
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
    /// Removes a handshake, so that it no longer counts.
    fn remove(&mut self, number: u64) -> Option<Open> {
        let open = self.open.remove(&number)?;
        if let Some(key) = open.key
            && let Some(count) = self.by_address.get_mut(&key)
        {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&key);
            }
        }
        Some(open)
    }
}

impl HandshakeGuard {
    /// Returns a future that completes when this handshake has to make room.
    pub(crate) fn evicted(&self) -> Notified<'_> {
        self.evicted.notified()
    }

    /// Notes whether the connection asks for nothing at the moment: then it makes room first.
    pub(crate) fn set_idle(&self, is_idle: bool) {
        if let Some(open) = self.handshakes.table.lock().open.get_mut(&self.number) {
            open.is_idle = is_idle;
        }
    }
}

impl Drop for HandshakeGuard {
    fn drop(&mut self) {
        // Returns `None` if it was evicted, which has removed it.
        drop(self.handshakes.table.lock().remove(self.number));
        self.handshakes.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn key(number: u8) -> Option<AddressKey> {
        Some(IpAddr::from(Ipv4Addr::new(192, 0, 2, number)).into())
    }

    fn quota(max: usize, per_address_max: usize) -> HandshakeQuota {
        HandshakeQuota { max, per_address_max }
    }

    async fn is_evicted(guard: &HandshakeGuard) -> bool {
        tokio::time::timeout(Duration::from_millis(1), guard.evicted()).await.is_ok()
    }

    /// docs/threats.md, row 2: unfinished handshakes of one address make room for each other, and for no other.
    #[tokio::test(start_paused = true)]
    async fn oldest_handshake_of_an_address_makes_room_for_its_next_one() {
        let handshakes = Handshakes::new();
        let neighbour = handshakes.begin(key(2), quota(10, 2)).0;
        let (first, second) = (handshakes.begin(key(1), quota(10, 2)), handshakes.begin(key(1), quota(10, 2)));
        assert_eq!((first.1, second.1), (Eviction::None, Eviction::None));
        let third = handshakes.begin(key(1), quota(10, 2));
        assert_eq!(third.1, Eviction::Oldest);
        assert!(is_evicted(&first.0).await);
        assert!(!is_evicted(&second.0).await && !is_evicted(&third.0).await && !is_evicted(&neighbour).await);
    }

    /// Browsers keep connections that have had their page; they must not cost another visitor a handshake.
    #[tokio::test(start_paused = true)]
    async fn idle_connection_makes_room_before_older_handshakes() {
        let handshakes = Handshakes::new();
        let (first, second) = (handshakes.begin(key(1), quota(10, 2)).0, handshakes.begin(key(1), quota(10, 2)).0);
        second.set_idle(true);
        assert_eq!(handshakes.begin(key(1), quota(10, 2)).1, Eviction::Idle);
        assert!(is_evicted(&second).await && !is_evicted(&first).await);
    }

    /// An exempt address counts in total only.
    #[tokio::test(start_paused = true)]
    async fn oldest_handshake_of_all_makes_room_once_it_is_no_longer_young() {
        let handshakes = Handshakes::new();
        let (first, second) = (handshakes.begin(None, quota(2, 1)).0, handshakes.begin(None, quota(2, 1)).0);
        let start = Instant::now();
        handshakes.wait_for_room(2).await;
        assert_eq!(start.elapsed(), EVICTION_AGE_MIN);
        assert_eq!(handshakes.begin(None, quota(2, 1)).1, Eviction::Oldest);
        assert!(is_evicted(&first).await && !is_evicted(&second).await);
    }

    #[tokio::test(start_paused = true)]
    async fn handshake_that_ends_makes_room_at_once() {
        let handshakes = Handshakes::new();
        let (first, _second) = (handshakes.begin(None, quota(2, 1)).0, handshakes.begin(None, quota(2, 1)).0);
        let start = Instant::now();
        let (_, ()) = tokio::join!(async { drop(first) }, handshakes.wait_for_room(2));
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(handshakes.begin(None, quota(2, 1)).1, Eviction::None);
    }
}
