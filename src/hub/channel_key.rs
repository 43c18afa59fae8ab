//! A channel key: a number that shards know a channel by, cheaper to look up than its name.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

/// Names a channel for as long as it exists; a channel made anew under the same name has another key.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ChannelKey(u64);

impl ChannelKey {
    pub(super) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Relaxed: numbers only have to differ.
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Channels by key. Keys are numbers of our own, so no peer can choose them to collide, and a multiplication is enough.
pub(super) type ChannelMap<T> = std::collections::HashMap<ChannelKey, T, BuildHasherDefault<KeyHasher>>;

/// Spreads consecutive numbers over all bits.
#[derive(Debug, Default)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        // 2^64 divided by the golden ratio; the table takes its highest and its lowest bits.
        let product = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ product >> 32;
    }
}
