//! A usage: memory in use, and the limit that it is held against.

/// What has a limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Holder {
    /// The process: its resident memory.
    Process,
    /// A cgroup of the process: what the kernel counts for it, without cached files.
    Cgroup,
}

impl Holder {
    /// Returns the word that operators read.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Cgroup => "cgroup",
        }
    }
}

/// Bytes in use of the bytes that are allowed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Usage {
    pub(super) used: u64,
    pub(super) max: u64,
    pub(super) holder: Holder,
}

impl Usage {
    /// Returns whether at least this percentage of the limit is used.
    pub(super) fn is_above(self, percent: u64) -> bool {
        u128::from(self.used) * 100 >= u128::from(self.max) * u128::from(percent)
    }

    /// Returns the one of the two that is closer to its limit.
    pub(super) fn tighter(self, other: Self) -> Self {
        let is_tighter = u128::from(other.used) * u128::from(self.max) > u128::from(self.used) * u128::from(other.max);
        if is_tighter { other } else { self }
    }
}
