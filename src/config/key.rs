//! A key: the secret that gives access to the operator API.

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
        // RFC 9110 section 5.5: a value is visible ASCII with spaces inside; many clients cannot send more.
        let is_carried = |one: char| one.is_ascii_graphic() || one == ' ';
        if let Some(index) = text.chars().position(|one| !is_carried(one)) {
            return Err(KeyError::Character { position: index + 1 });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
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
}
