//! A channel name: which strings name a channel.
//!
//! The character set keeps names safe wherever they travel: URLs, log lines, broker subjects and file names.

use std::{borrow::Borrow, fmt, sync::Arc};
use thiserror::Error;

/// The longest channel name in bytes, as in Centrifugo: ample for a path of identifiers, and one length byte holds it.
pub const NAME_BYTES_MAX: usize = 255;

/// The characters of a channel name, as a regular expression for descriptions; [`ChannelName::parse`] decides.
pub const NAME_PATTERN: &str = "^[A-Za-z0-9_.:,#$@-]+$";

/// The name of a channel: 1 to 255 ASCII letters, digits and `_ . : , # $ @ -`.
///
/// Cloning counts a reference; a map of names is searched with a `&str`.
///
/// ```
/// use throng::protocol::ChannelName;
///
/// let name = ChannelName::parse("news:sport")?;
/// assert_eq!(name.as_str(), "news:sport");
/// # Ok::<(), throng::protocol::NameError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ChannelName(Arc<str>);

impl ChannelName {
    /// Checks a name that a peer sent.
    ///
    /// # Errors
    ///
    /// [`NameError`] says which rule the name breaks, and where.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(NameError::TooLong { len: name.len() });
        }
        match name.char_indices().find(|(_, character)| !is_allowed(*character)) {
            Some((at, character)) => Err(NameError::BadCharacter { character, at }),
            None => Ok(Self(name.into())),
        }
    }

    /// Makes the name of a channel that belongs to one connection; it holds a byte that no name from outside may have.
    pub fn private(purpose: &str, owner: impl fmt::Display) -> Self {
        Self(format!("{purpose}/{owner}").into())
    }

    /// Returns whether it belongs to one connection.
    pub fn is_private(&self) -> bool {
        self.0.contains('/')
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `Hash` and `Eq` are those of the text, as `Borrow` demands.
impl Borrow<str> for ChannelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const fn is_allowed(character: char) -> bool {
    matches!(character, 'A'..='Z' | 'a'..='z' | '0'..='9' | '_' | '.' | ':' | ',' | '#' | '$' | '@' | '-')
}

/// Why a string does not name a channel.
///
/// The texts are safe to log: they hold at most one character of the peer's, escaped.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum NameError {
    /// The name has no character.
    #[error("channel name is empty; give it 1 to {NAME_BYTES_MAX} characters")]
    Empty,
    /// The name is longer than [`NAME_BYTES_MAX`].
    #[error("channel name has {len} bytes; shorten it to {NAME_BYTES_MAX}")]
    TooLong {
        /// The length received, in bytes.
        len: usize,
    },
    /// A character outside the set.
    #[error("channel name has {character:?} at byte {at}; allowed are ASCII letters, digits and _ . : , # $ @ -")]
    BadCharacter {
        /// The first character that is not allowed.
        character: char,
        /// Its position in bytes, from 0.
        at: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// A description that is not what is decided would be worse than none.
    #[test]
    fn pattern_has_exactly_the_allowed_characters() {
        let class = NAME_PATTERN.trim_start_matches("^[").trim_end_matches("]+$");
        let (ranges, others) = class.split_at("A-Za-z0-9".len());
        assert_eq!(ranges, "A-Za-z0-9");
        let is_in = |character: char| character.is_ascii_alphanumeric() || others.contains(character);
        for character in (0..=u8::MAX).map(char::from) {
            assert_eq!(is_in(character), is_allowed(character), "{character:?}");
        }
    }

    #[test]
    fn every_allowed_character_is_accepted() {
        let name = "ABCXYZabcxyz0189_.:,#$@-";
        assert_eq!(ChannelName::parse(name).unwrap().to_string(), name);
        assert_eq!((0..=u8::MAX).filter(|byte| is_allowed(char::from(*byte))).count(), 26 + 26 + 10 + 8);
    }

    #[test]
    fn a_name_of_255_bytes_is_accepted_and_of_256_refused() {
        assert!(ChannelName::parse(&"n".repeat(255)).is_ok());
        assert_eq!(ChannelName::parse(&"n".repeat(256)), Err(NameError::TooLong { len: 256 }));
        assert_eq!(ChannelName::parse(""), Err(NameError::Empty));
    }

    /// An operator reads these in a log: no character of a peer may change the line.
    #[test]
    fn errors_name_the_character_its_place_and_the_rule() {
        let rule = "; allowed are ASCII letters, digits and _ . : , # $ @ -";
        for (name, complaint) in [
            ("the lobby", "' ' at byte 3"),
            ("a\n", r"'\n' at byte 1"),
            ("\0", r"'\0' at byte 0"),
            ("esc\u{1b}[2J", r"'\u{1b}' at byte 3"),
            ("ab\u{202e}", r"'\u{202e}' at byte 2"),
            ("caf\u{e9}/x", "'\u{e9}' at byte 3"),
            ("news.*", "'*' at byte 5"),
            ("news.>", "'>' at byte 5"),
        ] {
            let error = ChannelName::parse(name).unwrap_err();
            assert_eq!(error.to_string(), format!("channel name has {complaint}{rule}"));
        }
        assert_eq!(NameError::Empty.to_string(), "channel name is empty; give it 1 to 255 characters");
        assert_eq!(NameError::TooLong { len: 256 }.to_string(), "channel name has 256 bytes; shorten it to 255");
    }

    #[test]
    fn a_set_of_names_is_searched_with_text() {
        let names = HashSet::from([ChannelName::parse("lobby").unwrap()]);
        assert!(names.contains("lobby"));
        assert!(!names.contains("Lobby"));
    }
}
