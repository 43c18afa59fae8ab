//! The id of a connection: its shard, its slot there, and the generation of the slot; in a cluster its hub too.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;

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

    /// Returns a number of which the sum over several tells which these are.
    pub fn digest(self) -> u64 {
        // The finalizer of SplitMix64: neighbouring numbers have unrelated results.
        let mut bits = u64::from(self.shard_and_slot) << 32 | u64::from(self.generation);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
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

/// Names a hub of a cluster: a random number, another one after each start.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HubId(NonZeroU64);

impl HubId {
    /// Returns the hub with that number; 0 is none.
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// Returns one that no other hub has.
    pub fn random() -> Self {
        // The keys of each `RandomState` are random. It is 0 once in an age, and then 1.
        Self(NonZeroU64::new(RandomState::new().hash_one(())).unwrap_or(NonZeroU64::MIN))
    }

    /// Returns its number.
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// Reads one as it was written: 16 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let is_written = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_written.then(|| u64::from_str_radix(text, 16).ok()).flatten().and_then(Self::new)
    }
}

impl fmt::Debug for HubId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for HubId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The id of a connection as clients and backends know it. In a cluster it names the hub, as the hubs number their
/// connections alike: `HUB-SHARD/SLOT.GENERATION`.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClientId {
    /// The hub; `None` outside of a cluster.
    pub hub: Option<HubId>,
    /// The connection there.
    pub connection: ConnectionId,
}

impl ClientId {
    /// Reads an id as it was written. Whether there is such a connection is another question.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once('-') {
            Some((hub, connection)) => {
                Some(Self { hub: Some(HubId::parse(hub)?), connection: ConnectionId::parse(connection)? })
            }
            None => ConnectionId::parse(text).map(|connection| Self { hub: None, connection }),
        }
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hub {
            Some(hub) => write!(f, "{hub}-{}", self.connection),
            None => fmt::Debug::fmt(&self.connection, f),
        }
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_of_a_cluster_is_named_with_its_hub() {
        let connection = ConnectionId::new(1, Slot::new(2), 3);
        let alone = ClientId { hub: None, connection };
        assert_eq!((alone.to_string().as_str(), ClientId::parse("1/2.3")), ("1/2.3", Some(alone)));
        let one = ClientId { hub: HubId::new(0xab), ..alone };
        assert_eq!(one.to_string(), "00000000000000ab-1/2.3");
        assert_eq!(ClientId::parse(&one.to_string()), Some(one));
        for text in ["-1/2.3", "ab-1/2.3", "00000000000000AB-1/2.3", "0000000000000000-1/2.3", "00000000000000ab-", "+"]
        {
            assert_eq!(ClientId::parse(text), None, "{text:?}");
        }
    }

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
