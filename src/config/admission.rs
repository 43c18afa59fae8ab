//! Admission: how many clients may connect, and how fast; what protects the hub from its clients.

use super::error::ConfigError;
use super::section::section;
use super::setting::{bytes_or_default, computed, count, rate, text};

/// What a hub without shards has to have as its budget of memory: its program is a part of it.
const MEMORY_MIN: u64 = 40 << 20;

/// What each shard takes before its first connection.
const MEMORY_PER_SHARD: u64 = 1 << 20;

section! {
    /// How many clients may connect, and how fast.
    pub struct AdmissionConfig in "admission" (Once) {
        /// Maximum number of open connections from one address. Further ones get 429.
        ///
        /// IPv6 addresses count by /64 network, which is what one customer of a provider usually has.
        connections_per_address_max: usize = count("connections", 1, 1 << 32), text("200"), NewConnections;

        /// Maximum number of handshakes in progress from one address. Further ones wait for their turn, up to 16 times
        /// as many; those beyond get 429.
        ///
        /// While one waits, a handshake of the address that is unfinished after 0.3 s is cut off.
        handshakes_per_address_max: usize = count("handshakes", 1, 1 << 20), text("32"), NewConnections;

        /// Maximum rate of handshakes from one address, with bursts of four times as many. Further ones get 429 with
        /// the time to wait.
        handshake_rate_per_address_max: u32 = rate("handshakes", 1, 1_000_000), text("10"), NewConnections;

        /// Maximum rate of handshakes in total, with bursts of twice as many. Further ones get 503 with the time to
        /// wait.
        handshake_rate_max: u32 = rate("handshakes", 1, 1_000_000), text("2000"), NewConnections;

        /// Memory that the process may use. At 85 % of it new connections get 503, at 95 % the slowest connections are
        /// closed with 4008.
        ///
        /// Resident memory is compared with it. The same shares of the cgroup's limit hold too, whatever is set here:
        /// what the cgroup uses is compared with that, socket buffers included and cached files not. 0 stands for the
        /// default.
        memory_max: u64 =
            bytes_or_default(MEMORY_MIN, u64::MAX, "less would refuse every connection"),
            computed("0", "the cgroup's limit, or the machine's memory"), AtOnce;
    }
}

impl AdmissionConfig {
    /// Checks that the budget of memory has room for the shards.
    pub(super) fn check(&self, shards: usize) -> Result<(), ConfigError> {
        let (memory, needed) = (self.memory_max, MEMORY_MIN + shards as u64 * MEMORY_PER_SHARD);
        if memory != 0 && memory < needed {
            Err(ConfigError::MemoryTooSmall { memory, shards, needed })
        } else {
            Ok(())
        }
    }
}
