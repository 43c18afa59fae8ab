//! The handshakes in progress: bounded in all and per address, and the oldest one makes room for a newcomer.
//!
//! Who floods with connections that never finish would otherwise keep everybody out for as long as a handshake may
//! take. A handshake that is young is left alone even when there is no room: a storm of honest clients finishes each of
//! its own within milliseconds, and whoever waits meanwhile waits in the kernel's queue.

use crate::transport::client::AddressKey;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::{Instant, timeout_at};

/// Age from which on an unfinished handshake may be cut off for a newcomer: a round trip round the world.
const YOUNG: Duration = Duration::from_millis(300);

/// The HTTP connections that are open: handshakes, and pages being fetched.
#[derive(Debug)]
pub(in crate::transport) struct Handshakes {
    state: Mutex<State>,
    /// Rung when one ends.
    ended: Notify,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// By number, and so by age.
    open: BTreeMap<u64, Open>,
    of_address: HashMap<AddressKey, usize>,
}

#[derive(Debug)]
struct Open {
    key: Option<AddressKey>,
    since: Instant,
    cut: Arc<Notify>,
}

/// One handshake in progress; it ends when this is dropped.
#[derive(Debug)]
pub(in crate::transport) struct Progress {
    handshakes: Arc<Handshakes>,
    number: u64,
    cut: Arc<Notify>,
}

/// Whom a newcomer has cut off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::transport) enum Cut {
    /// Nobody.
    Nobody,
    /// The oldest one of all, or of its address.
    Oldest,
}

impl Handshakes {
    pub(in crate::transport) fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), ended: Notify::new() })
    }

    /// Waits until there is room for one more, or somebody who may be cut off for it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub(in crate::transport) async fn has_room(&self, max: usize) {
        loop {
            let ended = self.ended.notified();
            let Some(ripe_at) = self.ripe_at(max) else { return };
            // Either way there is a new answer.
            drop(timeout_at(ripe_at, ended).await);
        }
    }

    /// Returns when the oldest one may be cut off; `None` when that is now, or not needed.
    fn ripe_at(&self, max: usize) -> Option<Instant> {
        let state = self.state.lock();
        let (_, oldest) = state.open.first_key_value().filter(|_| state.open.len() >= max)?;
        Some(oldest.since + YOUNG).filter(|ripe_at| *ripe_at > Instant::now())
    }

    /// Begins a handshake. It counts for an address unless that is `None`; beyond a limit the oldest one is cut off.
    pub(in crate::transport) fn begin(
        self: &Arc<Self>,
        key: Option<AddressKey>,
        (max, per_address_max): (usize, usize),
    ) -> (Progress, Cut) {
        let mut state = self.state.lock();
        let of_address = key.and_then(|key| state.of_address.get(&key)).copied().unwrap_or_default();
        let is_oldest = |open: &Open| of_address < per_address_max || open.key == key;
        let is_too_much = state.open.len() >= max || of_address >= per_address_max;
        let oldest = state.open.iter().find(|(_, open)| is_oldest(open)).filter(|_| is_too_much);
        let cut = match oldest.map(|(number, _)| *number).and_then(|number| state.close(number)) {
            Some(open) => {
                open.cut.notify_one();
                Cut::Oldest
            }
            None => Cut::Nobody,
        };
        let (number, notify) = (state.next, Arc::new(Notify::new()));
        state.next += 1;
        state.open.insert(number, Open { key, since: Instant::now(), cut: Arc::clone(&notify) });
        if let Some(key) = key {
            *state.of_address.entry(key).or_default() += 1;
        }
        (Progress { handshakes: Arc::clone(self), number, cut: notify }, cut)
    }

    /// Returns how many are in progress.
    pub(in crate::transport) fn len(&self) -> u64 {
        self.state.lock().open.len() as u64
    }

    /// Waits until none is in progress.
    pub(in crate::transport) async fn finished(&self) {
        loop {
            let ended = self.ended.notified();
            if self.state.lock().open.is_empty() {
                return;
            }
            ended.await;
        }
    }
}

impl State {
    fn close(&mut self, number: u64) -> Option<Open> {
        let open = self.open.remove(&number)?;
        if let Some(key) = open.key
            && let Some(count) = self.of_address.get_mut(&key)
        {
            *count -= 1;
            if *count == 0 {
                self.of_address.remove(&key);
            }
        }
        Some(open)
    }
}

impl Progress {
    /// Returns a future that ends when this handshake has to make room.
    pub(in crate::transport) fn cut(&self) -> Notified<'_> {
        self.cut.notified()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // `None` when it was cut off.
        drop(self.handshakes.state.lock().close(self.number));
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

    async fn is_cut(progress: &Progress) -> bool {
        tokio::time::timeout(Duration::from_millis(1), progress.cut()).await.is_ok()
    }

    /// Threats row 2: unfinished handshakes of one address make room for each other, and for nobody else's.
    #[tokio::test(start_paused = true)]
    async fn oldest_handshake_of_an_address_makes_room_for_its_next_one() {
        let handshakes = Handshakes::new();
        let neighbour = handshakes.begin(key(2), (10, 2)).0;
        let (first, second) = (handshakes.begin(key(1), (10, 2)), handshakes.begin(key(1), (10, 2)));
        assert_eq!((first.1, second.1), (Cut::Nobody, Cut::Nobody));
        let third = handshakes.begin(key(1), (10, 2));
        assert_eq!(third.1, Cut::Oldest);
        assert!(is_cut(&first.0).await);
        assert!(!is_cut(&second.0).await && !is_cut(&third.0).await && !is_cut(&neighbour).await);
    }

    /// Who is exempt counts in all, and not for its address.
    #[tokio::test(start_paused = true)]
    async fn oldest_handshake_of_all_makes_room_once_it_is_no_longer_young() {
        let handshakes = Handshakes::new();
        let (first, second) = (handshakes.begin(None, (2, 1)).0, handshakes.begin(None, (2, 1)).0);
        let start = Instant::now();
        handshakes.has_room(2).await;
        assert_eq!(start.elapsed(), YOUNG);
        assert_eq!(handshakes.begin(None, (2, 1)).1, Cut::Oldest);
        assert!(is_cut(&first).await && !is_cut(&second).await);
    }

    #[tokio::test(start_paused = true)]
    async fn handshake_that_ends_makes_room_at_once() {
        let handshakes = Handshakes::new();
        let (first, _second) = (handshakes.begin(None, (2, 1)).0, handshakes.begin(None, (2, 1)).0);
        let start = Instant::now();
        let (_, ()) = tokio::join!(async { drop(first) }, handshakes.has_room(2));
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(handshakes.begin(None, (2, 1)).1, Cut::Nobody);
    }
}
