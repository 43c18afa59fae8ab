//! The table of a shard's connections.

use super::connection::Connection;
use crate::hub::ConnectionId;
use crate::hub::id::Slot;

/// Most slots that a table reserves address space for, 64 MiB; beyond them it grows by copies.
const RESERVED_MAX: usize = 1 << 20;

/// The connections of a shard, by slot.
#[derive(Debug)]
pub(super) struct Slots<S> {
    all: Vec<Option<Connection<S>>>,
    taken: usize,
}

impl<S> Slots<S> {
    /// Returns an empty table for about as many connections as `expected`.
    pub(super) fn new(expected: usize) -> Self {
        // Reserved, not touched: the pages come as connections do, and a table that grows by copies leaves holes.
        Self { all: Vec::with_capacity(expected.min(RESERVED_MAX)), taken: 0 }
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Connection<S>> {
        self.all.get(slot.index())?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Connection<S>> {
        self.all.get_mut(slot.index())?.as_mut()
    }

    /// Returns a connection by its id; `None` when it is gone, also if another one has its slot now.
    pub(super) fn find(&mut self, id: ConnectionId) -> Option<&mut Connection<S>> {
        self.get_mut(id.slot()).filter(|connection| connection.generation == id.generation())
    }

    pub(super) fn insert(&mut self, slot: Slot, connection: Connection<S>) {
        if self.all.len() <= slot.index() {
            self.all.resize_with(slot.index() + 1, || None);
        }
        debug_assert!(self.all[slot.index()].is_none(), "placement hands out free slots");
        self.all[slot.index()] = Some(connection);
        self.taken += 1;
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<Connection<S>> {
        let connection = self.all.get_mut(slot.index())?.take()?;
        self.taken -= 1;
        Some(connection)
    }

    /// Returns the number of connections.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// Returns the number of slots, free ones included.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Returns the bytes of the table.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.all.as_slice())
    }

    /// Returns every slot, free ones included.
    pub(super) fn all(&self) -> impl Iterator<Item = Slot> + use<S> {
        (0..self.all.len()).map(Slot::new)
    }

    /// Returns the table as it lies in memory, for the fan-out.
    pub(super) fn as_mut_slice(&mut self) -> &mut [Option<Connection<S>>] {
        &mut self.all
    }
}
