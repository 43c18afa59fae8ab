//! The identifier of a hub, and other numbers that no other process has.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

/// A hub of a cluster; made anew at each start.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HubId(u64);

impl HubId {
    /// Returns one that no other hub has.
    pub fn new() -> Self {
        Self(random())
    }

    /// Reads an identifier as it was written.
    pub fn parse(text: &str) -> Option<Self> {
        u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 16).map(Self)
    }
}

impl Default for HubId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for HubId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Returns a random number.
pub fn random() -> u64 {
    // The keys of each are random.
    RandomState::new().hash_one(std::process::id())
}
