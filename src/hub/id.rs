//! A connection's name inside the hub: its shard, its slot there, and which tenant of the slot it is.

use std::fmt;

/// Most shards a hub can have: a channel keeps the set of its shards in 64 bits.
pub const SHARDS_MAX: usize = 64;

const SLOT_BITS: u32 = 26;

/// Most slots of one shard, far beyond the descriptors of a process.
pub const SLOTS_MAX: usize = 1 << SLOT_BITS;

/// Names one connection for as long as it lives; needs no map to find it.
///
/// # Invariants
///
/// Shard and slot never change (a connection belongs to one shard for its whole life), and no two connections of one
/// slot share a generation until 2^32 others had it.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct ConnectionId {
    place: u32,
    generation: u32,
}

impl ConnectionId {
    #[expect(clippy::cast_possible_truncation, reason = "both are below the bounds asserted here")]
    pub(super) fn new(shard: usize, slot: usize, generation: u32) -> Self {
        assert!(shard < SHARDS_MAX && slot < SLOTS_MAX, "placement hands out bounded numbers");
        Self { place: (shard as u32) << SLOT_BITS | slot as u32, generation }
    }

    /// Returns the index of the shard that owns the connection.
    pub const fn shard(self) -> usize {
        (self.place >> SLOT_BITS) as usize
    }

    /// Returns the connection's slot in its shard.
    pub const fn slot(self) -> usize {
        self.place as usize & (SLOTS_MAX - 1)
    }

    /// Returns which tenant of the slot this is.
    pub const fn generation(self) -> u32 {
        self.generation
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}.{}", self.shard(), self.slot(), self.generation)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_gives_back_what_was_packed() {
        let id = ConnectionId::new(SHARDS_MAX - 1, SLOTS_MAX - 1, u32::MAX);
        assert_eq!((id.shard(), id.slot(), id.generation()), (SHARDS_MAX - 1, SLOTS_MAX - 1, u32::MAX));
        let id = ConnectionId::new(1, 2, 3);
        assert_eq!((id.shard(), id.slot(), id.generation()), (1, 2, 3));
    }
}
