//! A key: the secret that gives access to the operator API.

use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A secret for `/admin/...`. It is never printed.
#[derive(Clone, Eq, PartialEq)]
pub struct Key(String);

/// Shortest key: shorter ones can be guessed.
const CHARACTERS_MIN: usize = 16;

/// A key that can be guessed. The error does not repeat it.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("a key of {characters} characters can be guessed; give at least {CHARACTERS_MIN}")]
pub struct KeyError {
    characters: usize,
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
            return Err(KeyError { characters });
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
}
