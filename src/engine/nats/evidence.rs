//! Evidence: what servers have answered about one channel of a log, and what that proves together.
//!
//! Any server that has a copy answers reads. One may lag behind, one that is cut off may take itself for the leader,
//! and each drops what is old when its own clock says so. So an answer proves only what its server has, and answers of
//! several servers prove something where they leave no room for a message that none of them gave:
//!
//! - One server says how far its copy is, and which message of the channel is the newest in it, in *one* answer. If it
//!   is far enough, who has that message has all that come before it.
//! - What was read ended because there was no more. Then it has the newest messages of the channel, and what its limit
//!   dropped, even while it was read, comes before as many as the log keeps.
//! - The leader is asked *afterwards*. What the server that was read has dropped earlier than others shows in the
//!   oldest message that the leader has, what all have dropped in the beginning of the log, or in that the leader
//!   has as many of the channel as it keeps.

/// What one server says of the newest message of a channel.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Newest {
    /// Its copy has everything up to this number, but for what it has dropped.
    pub reached: u64,
    /// The number of that message, if it has one.
    pub number: Option<u64>,
}

/// What the leader says, or who takes itself for it, after the channel was read.
#[derive(Clone, Copy, Debug)]
pub struct Leader {
    /// The oldest message of the channel after what is known.
    pub oldest: Option<u64>,
    /// The number of the first message of the log, asked later than that.
    pub begins: u64,
    /// Whether it has as many messages of the channel as the log keeps.
    pub is_full: bool,
    /// The oldest of them, asked last; it matters only in that case.
    pub oldest_of_all: Option<u64>,
    /// The number of the last one.
    pub reached: u64,
}

/// What was answered about a channel.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// What comes after this number is asked for ...
    pub after: u64,
    /// ... up to this one.
    pub until: u64,
    /// Messages that the log keeps of each channel.
    pub kept: usize,
    /// Asked first.
    pub newest: Newest,
    /// The numbers that were read.
    pub read: &'a [u64],
    /// Whether the server that was read had no more.
    pub is_whole: bool,
    /// Asked last.
    pub leader: Leader,
}

impl Evidence<'_> {
    /// Returns after which number all messages of the channel, as far as they were asked for, are among those that were
    /// read; `None` if that is not proven of any.
    pub fn floor(&self) -> Option<u64> {
        let Self { after, until, newest, leader, .. } = *self;
        let last = self.read.last().copied().unwrap_or(after);
        // Without one, that server may only have forgotten it.
        let has_newest = newest.number.map_or_else(|| leader.oldest.is_none(), |newest| last >= newest.min(until));
        let has_oldest = leader.oldest.is_none_or(|oldest| oldest > until || self.begins_by(oldest));
        let is_proven = self.is_whole && has_newest && has_oldest && newest.reached.min(leader.reached) >= until;
        let floor = self.floor_of_limit().filter(|_| is_proven)?;
        Some(floor.max(leader.begins.saturating_sub(1)))
    }

    fn begins_by(&self, number: u64) -> bool {
        self.read.first().is_some_and(|first| *first <= number)
    }

    /// Returns after which number the limit of a channel has dropped nothing.
    fn floor_of_limit(&self) -> Option<u64> {
        if let Some(more) = self.read.len().checked_sub(self.kept) {
            return self.read.get(more).map(|first| first - 1);
        }
        if !self.leader.is_full {
            return Some(self.after);
        }
        self.leader.oldest_of_all.map(|oldest| if oldest <= self.after { self.after } else { oldest - 1 })
    }
}

#[cfg(test)]
#[path = "evidence/tests.rs"]
mod tests;
