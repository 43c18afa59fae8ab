//! Keys: the secrets that give access to the operator API and to the HTTP API.

use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A secret for `/admin/...`. It is never printed.
#[derive(Clone, Eq, PartialEq)]
pub struct Key(String);

/// Shortest key: shorter ones can be guessed.
const CHARACTERS_MIN: usize = 16;

/// Text that is not a key. The error does not repeat it.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum KeyError {
    /// There is none.
    #[error("an empty text is not a key")]
    Empty,
    /// It can be guessed.
    #[error(
        "a key of {characters} characters can be guessed; give at least {CHARACTERS_MIN} (in a variable or flag, a \
         comma separates keys)"
    )]
    Short {
        /// How many it has.
        characters: usize,
    },
    /// No request could send it.
    #[error(
        "character {position} of a key is one that headers do not carry everywhere; use letters, digits and \
         punctuation of ASCII"
    )]
    Character {
        /// The number of the character, from 1.
        position: usize,
    },
}

impl Key {
    /// Returns the secret itself.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let characters = text.chars().count();
        if characters < CHARACTERS_MIN {
            return Err(KeyError::Short { characters });
        }
        check_characters(text)?;
        Ok(Self(text.to_owned()))
    }
}

/// Checks that a request can send a key. RFC 9110 section 5.5: a value is visible ASCII with spaces inside; many
/// clients cannot send more.
fn check_characters(text: &str) -> Result<(), KeyError> {
    let is_carried = |one: char| one.is_ascii_graphic() || one == ' ';
    match text.chars().position(|one| !is_carried(one)) {
        Some(index) => Err(KeyError::Character { position: index + 1 }),
        None => Ok(()),
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Characters of a key that nobody can guess. A shorter one works, with a warning: keys of other hubs are moved here.
const CHARACTERS_ADVISED: usize = 12;

/// A secret for `/api/...`. It is never printed.
#[derive(Clone, Eq, PartialEq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Returns the secret itself.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// Returns whether it can be guessed.
    pub fn is_short(&self) -> bool {
        self.0.len() < CHARACTERS_ADVISED
    }
}

impl FromStr for ApiKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.is_empty() {
            return Err(KeyError::Empty);
        }
        check_characters(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Errors and debug output end up in logs.
    #[test]
    fn key_that_is_too_short_is_refused_and_no_key_is_printed() {
        let error = "hunter2".parse::<Key>().unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
        assert!(!format!("{:?}", "0123456789abcdef".parse::<Key>().unwrap()).contains("0123"));
    }

    /// A key that no client can send would be a wrong key for ever.
    #[test]
    fn key_that_no_header_can_carry_is_refused() {
        for text in
            ["0123456789abcdef\n0123", "0123456789abcdef\t0", "0123456789abcd\u{e9}\u{e9}", "0123456789abcdef\u{7f}"]
        {
            let error = text.parse::<Key>().unwrap_err();
            assert!(matches!(error, KeyError::Character { position } if position >= 15), "{text:?}: {error}");
        }
        for text in ["correct horse battery staple", "0123456789,abcdef", "!\"#$%&'()*+-./:;<=>?@[]^_`{|}~"] {
            assert_eq!(text.parse::<Key>().unwrap().secret(), text);
        }
    }

    #[test]
    fn key_of_any_length_is_accepted_and_never_printed() {
        for (text, is_short) in [("k", true), ("elevenchars", true), ("twelve-chars", false)] {
            let key: ApiKey = text.parse().unwrap();
            assert_eq!((key.secret(), key.is_short()), (text, is_short));
            assert!(!format!("{key:?}").contains(text));
        }
        assert_eq!("".parse::<ApiKey>(), Err(KeyError::Empty));
        assert!("caf\u{e9}-caf\u{e9}-caf\u{e9}".parse::<ApiKey>().is_err());
    }
}
