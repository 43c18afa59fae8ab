//! A position: where a channel's history stands, or where a client has read up to.

use std::fmt;
use thiserror::Error;

/// One incarnation of a channel's history. A channel made anew has another, so that an old offset is not mistaken for
/// one of it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Epoch(u64);

/// An offset in one incarnation of a channel's history. As text `EPOCH:OFFSET`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Position {
    /// The incarnation.
    pub epoch: Epoch,
    /// Number of the newest publication that is known; 0 before the first.
    pub offset: u64,
}

/// Where a subscriber begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Start {
    /// Where the channel's history stands; `None` without history.
    pub position: Option<Position>,
    /// Number of publications that it gets first.
    pub publications: usize,
    /// Whether these are all that it missed; `None` when it named no position.
    pub is_recovered: Option<bool>,
}

/// A text that is not a position.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a position is an epoch of 16 hexadecimal digits, a colon and an offset, as the hub sent it")]
pub struct PositionError;

impl Epoch {
    /// Stands for an epoch that is not one of ours: no incarnation has it.
    pub const UNKNOWN: Self = Self(0);

    /// Returns the epoch with this number, which should be random.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Reads an epoch as it was written.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_hex.then(|| u64::from_str_radix(text, 16).ok()).flatten().map(Self)
    }
}

impl Position {
    /// Reads a position as it was written.
    ///
    /// # Errors
    ///
    /// [`PositionError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, PositionError> {
        let (epoch, offset) = text.split_once(':').ok_or(PositionError)?;
        let epoch = Epoch::parse(epoch).ok_or(PositionError)?;
        let is_number = !offset.is_empty() && offset.bytes().all(|byte| byte.is_ascii_digit());
        let offset = is_number.then(|| offset.parse().ok()).flatten().ok_or(PositionError)?;
        Ok(Self { epoch, offset })
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_is_read_as_it_was_written_and_nothing_else_is() {
        for (number, offset) in [(0, 0), (0xfeed, 7), (u64::MAX, u64::MAX)] {
            let position = Position { epoch: Epoch::new(number), offset };
            assert_eq!(Position::parse(&position.to_string()), Ok(position));
        }
        for text in [
            "",
            ":",
            "0:1",
            "00000000000000FE:1",
            "00000000000000fe:",
            "00000000000000fe:+1",
            "00000000000000fe",
            "00000000000000fe:18446744073709551616",
            " 00000000000000fe:1",
            "00000000000000fe:1 ",
        ] {
            assert_eq!(Position::parse(text), Err(PositionError), "{text:?}");
        }
    }
}
