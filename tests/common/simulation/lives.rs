//! The reference model of histories: what was published in one life of a channel, and what of it is still kept.

use std::time::Duration;
use throng::hub::HistoryOptions;
use throng::protocol::{Epoch, Position};

/// What was published.
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) offset: u64,
    pub(crate) at: Duration,
}

/// One life of a channel, between which its offsets begin anew: the number of its first line, and how it is named.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Life {
    pub(crate) first: usize,
    pub(crate) epoch: Option<Epoch>,
    /// What was published up to this offset had to give way to the budget of all histories.
    evicted_to: u64,
}

impl Life {
    pub(crate) fn new(first: usize, epoch: Option<Epoch>) -> Self {
        Self { first, epoch, evicted_to: 0 }
    }

    /// The position that stands for this one where only the newest of `lines` lines matters: that before it, unless it
    /// is known already; or one that is not there, before the first line.
    pub(crate) fn in_cache(&self, position: Position, lines: usize) -> Position {
        let top = (lines - self.first) as u64;
        match self.epoch {
            Some(epoch) if top == 0 => Position { epoch, offset: 1 },
            Some(epoch) if position != (Position { epoch, offset: top }) => Position { epoch, offset: top - 1 },
            _ => position,
        }
    }

    /// Whether the history has everything after a position, by the rules alone.
    pub(crate) fn keeps_since(
        &self,
        lines: &[Line],
        position: Position,
        history: HistoryOptions,
        bytes_max: usize,
        now: Duration,
    ) -> bool {
        let lines = &lines[self.first..];
        let Some(missed) = usize::try_from(position.offset).ok().and_then(|offset| lines.get(offset..)) else {
            return false;
        };
        let bytes: usize = missed.iter().map(|line| line.text.len() + 1).sum();
        let is_old = |line: &Line| now - line.at >= history.ttl;
        missed.len() <= history.size && bytes <= bytes_max && !missed.iter().any(is_old)
    }

    /// Not everything after a position is there, although it should be by the rules alone: the line after it has given
    /// way, and with it all before it.
    pub(crate) fn note_eviction(&mut self, position: Position) {
        self.evicted_to = self.evicted_to.max(position.offset + 1);
    }

    /// Whether something after a position is known to have given way.
    pub(crate) fn is_evicted(&self, position: Position) -> bool {
        position.offset < self.evicted_to
    }
}
