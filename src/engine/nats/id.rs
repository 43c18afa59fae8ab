//! Numbers that no other process has.

use std::hash::{BuildHasher, RandomState};

/// Returns a random number.
pub fn random() -> u64 {
    // The keys of each are random.
    RandomState::new().hash_one(std::process::id())
}
