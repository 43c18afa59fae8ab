//! The placement of connections: which slots of which shard are taken, and where the next connection goes.
//!
//! Used twice per connection, so one plain lock serves all shards and keeps the counts exact.

use super::id::{ConnectionId, SLOTS_MAX, Slot};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Hands out slots, always on the least loaded shard.
#[derive(Debug)]
pub struct Placement {
    shards: Mutex<Shards>,
    connections_max: AtomicUsize,
    vacated: Notify,
}

#[derive(Debug)]
struct Shards {
    slots: Vec<SlotNumbers>,
    taken: usize,
}

/// The slot numbers of one shard: how often each was given, and which are free.
#[derive(Debug, Default)]
struct SlotNumbers {
    generations: Vec<u32>,
    free: Vec<usize>,
}

impl SlotNumbers {
    fn taken(&self) -> usize {
        self.generations.len() - self.free.len()
    }

    fn take(&mut self) -> usize {
        // The last one freed is the one whose memory is still warm.
        self.free.pop().unwrap_or_else(|| {
            self.generations.push(0);
            self.generations.len() - 1
        })
    }
}

impl Placement {
    pub(super) fn new(shards: usize, connections_max: usize) -> Self {
        let slots = (0..shards).map(|_| SlotNumbers::default()).collect();
        Self {
            shards: Mutex::new(Shards { slots, taken: 0 }),
            connections_max: connections_max.min(SLOTS_MAX).into(),
            vacated: Notify::new(),
        }
    }

    /// Takes a slot on the least loaded shard; `None` when `connections_max` are taken.
    pub fn take(self: &Arc<Self>) -> Option<SlotReservation> {
        let mut shards = self.shards.lock();
        if shards.taken >= self.max() {
            return None;
        }
        let (shard, slots) = shards.slots.iter_mut().enumerate().min_by_key(|(_, slots)| slots.taken())?;
        let slot = slots.take();
        let id = ConnectionId::new(shard, Slot::new(slot), slots.generations[slot]);
        shards.taken += 1;
        Some(SlotReservation { id, placement: Arc::clone(self), is_taken: false })
    }

    /// Frees the slot of a connection that is gone.
    pub(super) fn give_back(&self, id: ConnectionId) {
        let mut shards = self.shards.lock();
        let slots = &mut shards.slots[id.shard()];
        debug_assert_eq!(slots.generations[id.slot().index()], id.generation(), "a slot is given back once");
        slots.generations[id.slot().index()] = id.generation().wrapping_add(1);
        slots.free.push(id.slot().index());
        shards.taken -= 1;
        if shards.taken == 0 {
            self.vacated.notify_waiters();
        }
    }

    /// Returns whether there is a connection with this id, or will be one next.
    pub fn is_taken(&self, id: ConnectionId) -> bool {
        let shards = self.shards.lock();
        let slots = shards.slots.get(id.shard());
        let is_current = |slots: &SlotNumbers| slots.generations.get(id.slot().index()) == Some(&id.generation());
        slots.is_some_and(is_current)
    }

    /// Returns the number of connections, those in their handshake included.
    pub fn taken(&self) -> usize {
        self.shards.lock().taken
    }

    /// Returns how many there may be.
    pub fn max(&self) -> usize {
        // Relaxed: the number stands for itself.
        self.connections_max.load(Ordering::Relaxed)
    }

    /// Changes the most connections there may be. Connections beyond it stay.
    pub(super) fn set_max(&self, connections_max: usize) {
        self.connections_max.store(connections_max.min(SLOTS_MAX), Ordering::Relaxed);
    }

    /// Returns whether every slot is taken.
    pub fn is_full(&self) -> bool {
        self.taken() >= self.max()
    }

    /// Returns the number of connections of each shard, those in their handshake included.
    pub fn taken_by_shard(&self) -> Vec<usize> {
        self.shards.lock().slots.iter().map(SlotNumbers::taken).collect()
    }

    /// Returns a future that ends when the last connection is gone; ask for it before looking at [`Placement::taken`].
    pub fn vacated(&self) -> Notified<'_> {
        self.vacated.notified()
    }
}

/// A slot that is taken for a connection still in its handshake; given back when dropped.
#[derive(Debug)]
pub struct SlotReservation {
    id: ConnectionId,
    placement: Arc<Placement>,
    is_taken: bool,
}

impl SlotReservation {
    /// Returns the id that the connection will have.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Hands the slot over to the shard, which gives it back when the connection is gone.
    pub(super) fn occupy(mut self) -> ConnectionId {
        self.is_taken = true;
        self.id
    }
}

impl Drop for SlotReservation {
    fn drop(&mut self) {
        if !self.is_taken {
            self.placement.give_back(self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shards are only as good as the balance between them.
    #[test]
    fn connections_go_to_the_least_loaded_shard() {
        let placement = Arc::new(Placement::new(3, 100));
        let seats: Vec<_> = (0..9).map(|_| placement.take().unwrap()).collect();
        for shard in 0..3 {
            assert_eq!(seats.iter().filter(|slot| slot.id().shard() == shard).count(), 3);
        }
        let (left, stayed): (Vec<_>, Vec<_>) = seats.into_iter().partition(|slot| slot.id().shard() == 1);
        drop(left);
        assert!((0..3).map(|_| placement.take().unwrap()).all(|slot| slot.id().shard() == 1));
        drop(stayed);
    }

    #[test]
    fn connections_max_is_allowed_and_one_more_is_not() {
        let placement = Arc::new(Placement::new(2, 3));
        let seats: Vec<_> = (0..3).map(|_| placement.take().unwrap()).collect();
        assert!(placement.take().is_none());
        drop(seats);
        assert_eq!(placement.taken(), 0);
        assert!(placement.take().is_some());
    }

    /// A late command must not reach the next tenant of a slot.
    #[test]
    fn slot_has_a_new_generation_for_every_tenant() {
        let placement = Arc::new(Placement::new(1, 1));
        let first = placement.take().unwrap().id();
        let second = placement.take().unwrap().id();
        assert_eq!(first.slot(), second.slot());
        assert_ne!(first, second);
    }
}
