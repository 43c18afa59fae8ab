//! The table of addresses: how many connections each address has, and how fast it connects.
//!
//! The table is bounded: an attacker with many addresses cannot fill memory.

use crate::net::address::AddressKey;
use crate::rate::{Quota, TokenBucket};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// Addresses with an entry of their own, about 4 MiB. All others share one entry.
const ADDRESSES_MAX: usize = 65_536;

/// The limit that an address exceeded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AddressExcess {
    /// It connects too fast. Holds the time until its next attempt may succeed.
    Rate(Duration),
    /// It has all the connections it may have.
    Connections,
}

/// The counters of one address.
#[derive(Clone, Copy, Debug)]
struct Entry {
    connections: usize,
    bucket: TokenBucket,
}

impl Entry {
    fn new(now: Instant) -> Self {
        Self { connections: 0, bucket: TokenBucket::new(now) }
    }

    /// Returns whether the entry can be removed without changing any decision.
    fn is_idle(&self, now: Instant) -> bool {
        self.connections == 0 && self.bucket.is_full(now)
    }

    fn count_attempt(&mut self, now: Instant, quota: Quota) -> Result<(), AddressExcess> {
        self.bucket.try_take(now, quota).map_err(AddressExcess::Rate)
    }

    fn acquire(&mut self, connections_max: usize) -> Result<(), AddressExcess> {
        if self.connections >= connections_max {
            return Err(AddressExcess::Connections);
        }
        self.connections += 1;
        Ok(())
    }
}

/// The addresses. The hash keys of the map are random, so that an attacker cannot choose addresses that collide.
#[derive(Debug, Default)]
pub(crate) struct AddressTable {
    entries: HashMap<AddressKey, Entry>,
    /// The entry that all addresses share for which the table has no room.
    overflow: Option<Entry>,
    addresses_max: Option<usize>,
}

impl AddressTable {
    /// Counts an attempt of an address.
    pub(crate) fn count_attempt(&mut self, key: AddressKey, now: Instant, quota: Quota) -> Result<(), AddressExcess> {
        self.entry(key, now).count_attempt(now, quota)
    }

    /// Counts a connection of an address.
    pub(crate) fn acquire(
        &mut self,
        key: AddressKey,
        now: Instant,
        connections_max: usize,
    ) -> Result<(), AddressExcess> {
        self.entry(key, now).acquire(connections_max)
    }

    /// Returns the entry of an address, or the shared one.
    fn entry(&mut self, key: AddressKey, now: Instant) -> &mut Entry {
        // Idle entries are removed only when the table is full, so that a pass over it is rare.
        if !self.entries.contains_key(&key) && self.entries.len() >= self.addresses_max.unwrap_or(ADDRESSES_MAX) {
            self.entries.retain(|_, entry| !entry.is_idle(now));
            if self.entries.len() >= self.addresses_max.unwrap_or(ADDRESSES_MAX) {
                return self.overflow.get_or_insert_with(|| Entry::new(now));
            }
        }
        self.entries.entry(key).or_insert_with(|| Entry::new(now))
    }

    /// Releases what [`AddressTable::acquire`] counted.
    pub(crate) fn release(&mut self, key: AddressKey, now: Instant) {
        // An address without an entry, or without connections, was counted in the shared entry.
        match self.entries.get_mut(&key).filter(|entry| entry.connections > 0) {
            Some(entry) => {
                entry.connections -= 1;
                if entry.is_idle(now) {
                    self.entries.remove(&key);
                }
            }
            None => {
                if let Some(overflow) = &mut self.overflow {
                    overflow.connections = overflow.connections.saturating_sub(1);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    const QUOTA: Quota = Quota { per_second: 10, burst: 40 };

    /// Attempts and acquires, as a handshake does.
    fn connect(
        table: &mut AddressTable,
        key: AddressKey,
        now: Instant,
        connections_max: usize,
    ) -> Result<(), AddressExcess> {
        table.count_attempt(key, now, QUOTA)?;
        table.acquire(key, now, connections_max)
    }

    fn key(number: u32) -> AddressKey {
        IpAddr::from(Ipv4Addr::from_bits(number)).into()
    }

    /// docs/threats.md, row 13: the limit is allowed, one more is not, and a connection that ends makes room.
    #[test]
    fn address_has_as_many_connections_as_it_may_have() {
        let (mut table, now) = (AddressTable::default(), Instant::now());
        for _ in 0..3 {
            assert_eq!(connect(&mut table, key(1), now, 3), Ok(()));
        }
        assert_eq!(connect(&mut table, key(1), now, 3), Err(AddressExcess::Connections));
        assert_eq!(connect(&mut table, key(2), now, 3), Ok(()), "another address is not affected");
        table.release(key(1), now);
        assert_eq!(connect(&mut table, key(1), now, 3), Ok(()));
    }

    /// docs/threats.md, row 3: forty at once, then ten a second.
    #[test]
    fn address_connects_as_fast_as_it_may() {
        let (mut table, now) = (AddressTable::default(), Instant::now());
        for _ in 0..40 {
            assert_eq!(connect(&mut table, key(1), now, 100), Ok(()));
            table.release(key(1), now);
        }
        assert_eq!(connect(&mut table, key(1), now, 100), Err(AddressExcess::Rate(Duration::from_millis(100))));
        assert_eq!(connect(&mut table, key(1), now + Duration::from_millis(100), 100), Ok(()));
    }

    /// An attacker with a network of addresses must not fill memory, nor lock out known addresses.
    #[test]
    fn full_table_removes_idle_entries_and_then_counts_new_addresses_as_one() {
        let (mut table, now) = (AddressTable { addresses_max: Some(2), ..AddressTable::default() }, Instant::now());
        connect(&mut table, key(1), now, 1).unwrap();
        connect(&mut table, key(2), now, 1).unwrap();
        connect(&mut table, key(3), now, 1).unwrap();
        assert_eq!(
            connect(&mut table, key(4), now, 1),
            Err(AddressExcess::Connections),
            "the shared entry has its connection"
        );
        assert_eq!(table.entries.len(), 2);
        table.release(key(3), now);
        assert_eq!(connect(&mut table, key(4), now, 1), Ok(()));
        table.release(key(2), now);
        let later = now + Duration::from_secs(1);
        assert_eq!(connect(&mut table, key(5), later, 1), Ok(()), "the idle one made room");
        assert!(table.entries.contains_key(&key(5)) && table.entries.len() == 2);
    }
}
