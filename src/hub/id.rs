//! The id of a connection: its shard, its slot there, and the generation of the slot.

use std::fmt;

/// Most shards a hub can have: a channel keeps the set of its shards in 64 bits.
pub const SHARDS_MAX: usize = 64;

const SLOT_BITS: u32 = 26;

/// Most slots of one shard, far beyond the descriptors of a process.
pub const SLOTS_MAX: usize = 1 << SLOT_BITS;

/// Index of a connection in the table of its shard; below [`SLOTS_MAX`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Slot(u32);

impl Slot {
    /// Returns the slot at an index of a table.
    #[expect(clippy::cast_possible_truncation, reason = "tables have at most SLOTS_MAX slots")]
    pub const fn new(index: usize) -> Self {
        debug_assert!(index < SLOTS_MAX, "tables have at most SLOTS_MAX slots");
        Self(index as u32)
    }

    /// Returns the index in the table.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Returns a number that spreads connections evenly, for what must not happen to all at once.
    pub(super) const fn as_u32(self) -> u32 {
        self.0
    }
}

/// Names one connection for as long as it exists; finding it needs no map.
///
/// # Invariants
///
/// Shard and slot never change (a connection belongs to one shard from connect to disconnect), and no two connections
/// of one slot share a generation until 2^32 others had it.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ConnectionId {
    shard_and_slot: u32,
    generation: u32,
}

impl ConnectionId {
    #[expect(clippy::cast_possible_truncation, reason = "the shard is below the bound asserted here")]
    pub(super) fn new(shard: usize, slot: Slot, generation: u32) -> Self {
        assert!(shard < SHARDS_MAX && slot.index() < SLOTS_MAX, "placement hands out bounded numbers");
        Self { shard_and_slot: (shard as u32) << SLOT_BITS | slot.0, generation }
    }

    /// Reads an id as it was written: `SHARD/SLOT.GENERATION`. Whether there is such a connection is another question.
    pub fn parse(text: &str) -> Option<Self> {
        let (shard, rest) = text.split_once('/')?;
        let (slot, generation) = rest.split_once('.')?;
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| text.parse::<u32>().ok()).flatten()
        };
        let shard = usize::try_from(number(shard)?).ok().filter(|shard| *shard < SHARDS_MAX)?;
        let slot = usize::try_from(number(slot)?).ok().filter(|slot| *slot < SLOTS_MAX)?;
        Some(Self::new(shard, Slot::new(slot), number(generation)?))
    }

    /// Returns the index of the shard that owns the connection.
    pub const fn shard(self) -> usize {
        (self.shard_and_slot >> SLOT_BITS) as usize
    }

    /// Returns the connection's slot in its shard.
    pub const fn slot(self) -> Slot {
        Slot::new(self.shard_and_slot as usize & (SLOTS_MAX - 1))
    }

    /// Returns the generation of the slot: how many connections had it before.
    pub const fn generation(self) -> u32 {
        self.generation
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}.{}", self.shard(), self.slot().index(), self.generation)
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
        let id = ConnectionId::new(SHARDS_MAX - 1, Slot::new(SLOTS_MAX - 1), u32::MAX);
        assert_eq!((id.shard(), id.slot(), id.generation()), (SHARDS_MAX - 1, Slot::new(SLOTS_MAX - 1), u32::MAX));
        assert_eq!(ConnectionId::parse(&id.to_string()), Some(id));
        for text in ["", "1", "64/0.0", "0/67108864.0", "0/0", "0/0.4294967296", "+1/0.0", "0/0.", "0/ 1.0", "0/0.0 "] {
            assert_eq!(ConnectionId::parse(text), None, "{text:?}");
        }
        let id = ConnectionId::new(1, Slot::new(2), 3);
        assert_eq!((id.shard(), id.slot(), id.generation()), (1, Slot::new(2), 3));
    }
}
