//! A table of addresses: how many connections each has, and how fast it came. Bounded: it can not be filled from
//! outside.

use crate::session::rate::Bucket;
use crate::transport::client::AddressKey;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// Addresses that are told apart, about 4 MiB. Strangers beyond them count as one.
const ADDRESSES_MAX: usize = 65_536;

/// What one address has too much of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Excess {
    /// It comes too fast: when it may come again.
    Rate(Duration),
    /// It has as many connections as it may have.
    Connections,
}

/// What is known of one address.
#[derive(Clone, Copy, Debug)]
struct Entry {
    connections: usize,
    bucket: Bucket,
}

impl Entry {
    fn new(now: Instant) -> Self {
        Self { connections: 0, bucket: Bucket::new(now) }
    }

    /// Returns whether forgetting it changes nothing.
    fn is_idle(&self, now: Instant) -> bool {
        self.connections == 0 && self.bucket.is_full(now)
    }

    fn knock(&mut self, now: Instant, rate: (u32, u32)) -> Result<(), Excess> {
        self.bucket.try_take(now, rate).map_err(Excess::Rate)
    }

    fn enter(&mut self, connections_max: usize) -> Result<(), Excess> {
        if self.connections >= connections_max {
            return Err(Excess::Connections);
        }
        self.connections += 1;
        Ok(())
    }
}

/// The addresses. The map's hash is keyed at random, so that nobody can choose addresses that collide.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: HashMap<AddressKey, Entry>,
    /// Everybody whom the table has no room for.
    strangers: Option<Entry>,
    addresses_max: Option<usize>,
}

impl Table {
    /// Counts that an address has come.
    pub(super) fn knock(&mut self, key: AddressKey, now: Instant, rate: (u32, u32)) -> Result<(), Excess> {
        self.entry(key, now).knock(now, rate)
    }

    /// Counts a connection of an address.
    pub(super) fn enter(&mut self, key: AddressKey, now: Instant, connections_max: usize) -> Result<(), Excess> {
        self.entry(key, now).enter(connections_max)
    }

    /// Returns what is known of an address, or of all whom there is no room for.
    fn entry(&mut self, key: AddressKey, now: Instant) -> &mut Entry {
        if !self.entries.contains_key(&key) && self.entries.len() >= self.addresses_max.unwrap_or(ADDRESSES_MAX) {
            self.entries.retain(|_, entry| !entry.is_idle(now));
            if self.entries.len() >= self.addresses_max.unwrap_or(ADDRESSES_MAX) {
                return self.strangers.get_or_insert_with(|| Entry::new(now));
            }
        }
        self.entries.entry(key).or_insert_with(|| Entry::new(now))
    }

    /// Gives back what [`Table::enter`] counted.
    pub(super) fn leave(&mut self, key: AddressKey, now: Instant) {
        // One that is not known, or has none, was a stranger when it came.
        match self.entries.get_mut(&key).filter(|entry| entry.connections > 0) {
            Some(entry) => {
                entry.connections -= 1;
                if entry.is_idle(now) {
                    self.entries.remove(&key);
                }
            }
            None => {
                if let Some(strangers) = &mut self.strangers {
                    strangers.connections = strangers.connections.saturating_sub(1);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    const RATE: (u32, u32) = (10, 40);

    /// Comes and enters, as a handshake does.
    fn come(table: &mut Table, key: AddressKey, now: Instant, connections_max: usize) -> Result<(), Excess> {
        table.knock(key, now, RATE)?;
        table.enter(key, now, connections_max)
    }

    fn key(number: u32) -> AddressKey {
        IpAddr::from(Ipv4Addr::from_bits(number)).into()
    }

    /// Threats row 13: the limit is allowed, one more is not, and who leaves makes room.
    #[test]
    fn address_has_as_many_connections_as_it_may_have() {
        let (mut table, now) = (Table::default(), Instant::now());
        for _ in 0..3 {
            assert_eq!(come(&mut table, key(1), now, 3), Ok(()));
        }
        assert_eq!(come(&mut table, key(1), now, 3), Err(Excess::Connections));
        assert_eq!(come(&mut table, key(2), now, 3), Ok(()), "another address is not concerned");
        table.leave(key(1), now);
        assert_eq!(come(&mut table, key(1), now, 3), Ok(()));
    }

    /// Threats row 3: forty at once, then ten a second.
    #[test]
    fn address_comes_as_fast_as_it_may() {
        let (mut table, now) = (Table::default(), Instant::now());
        for _ in 0..40 {
            assert_eq!(come(&mut table, key(1), now, 100), Ok(()));
            table.leave(key(1), now);
        }
        assert_eq!(come(&mut table, key(1), now, 100), Err(Excess::Rate(Duration::from_millis(100))));
        assert_eq!(come(&mut table, key(1), now + Duration::from_millis(100), 100), Ok(()));
    }

    /// An attacker with a network of addresses must not fill memory, nor lock out those who are known.
    #[test]
    fn full_table_forgets_who_is_idle_and_then_counts_strangers_as_one() {
        let (mut table, now) = (Table { addresses_max: Some(2), ..Table::default() }, Instant::now());
        come(&mut table, key(1), now, 1).unwrap();
        come(&mut table, key(2), now, 1).unwrap();
        come(&mut table, key(3), now, 1).unwrap();
        assert_eq!(come(&mut table, key(4), now, 1), Err(Excess::Connections), "one stranger is in");
        assert_eq!(table.entries.len(), 2);
        table.leave(key(3), now);
        assert_eq!(come(&mut table, key(4), now, 1), Ok(()));
        table.leave(key(2), now);
        let later = now + Duration::from_secs(1);
        assert_eq!(come(&mut table, key(5), later, 1), Ok(()), "the idle one made room");
        assert!(table.entries.contains_key(&key(5)) && table.entries.len() == 2);
    }
}
