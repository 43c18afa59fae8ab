//! Credentials: who the hub is for NATS.

use std::path::{Path, PathBuf};
use std::{fmt, fs};
use thiserror::Error;

/// Characters of the seed of a user's NKey.
const SEED_LEN: usize = 58;

/// What a file of credentials holds. It is never printed.
pub enum Credentials {
    /// The text of a file as `nsc` makes it: a token and a seed.
    Token(String),
    /// The seed of an NKey.
    Seed(String),
    /// A user and a password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
}

/// A file that cannot be used. The text does not repeat what it holds.
#[derive(Debug, Error)]
#[error(
    "--nats-credentials {}: {reason}; it has to be a file of credentials as nsc makes it, the seed of an NKey, or one \
     line USER:PASSWORD", path.display()
)]
pub struct CredentialsError {
    path: PathBuf,
    reason: String,
}

impl CredentialsError {
    /// Returns the error of this file.
    pub fn new(path: &Path, reason: &impl fmt::Display) -> Self {
        Self { path: path.to_owned(), reason: reason.to_string() }
    }
}

impl Credentials {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`CredentialsError`] if it cannot be read, or has another form.
    pub fn read(path: &Path) -> Result<Self, CredentialsError> {
        let text = fs::read_to_string(path).map_err(|error| CredentialsError::new(path, &error))?;
        Self::parse(&text).ok_or_else(|| CredentialsError::new(path, &"it has another form"))
    }

    fn parse(text: &str) -> Option<Self> {
        if text.contains("-----BEGIN NATS USER JWT-----") {
            return Some(Self::Token(text.to_owned()));
        }
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let line = lines.next().filter(|_| lines.next().is_none())?;
        if line.starts_with("SU") && line.len() == SEED_LEN && line.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Some(Self::Seed(line.to_owned()));
        }
        let (user, password) = line.split_once(':').filter(|(user, _)| !user.is_empty())?;
        Some(Self::Password { user: user.to_owned(), password: password.to_owned() })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_have_one_of_three_forms() {
        let seed = "SUAIO3FHUX5PNV2LQIIP7TZ3N4L7TX3W53MQGEIVYFIGA635OZCKEYHFLM";
        let token = format!("-----BEGIN NATS USER JWT-----\nx\n------END NATS USER JWT------\n{seed}\n");
        assert!(matches!(Credentials::parse(&token), Some(Credentials::Token(text)) if text == token));
        assert!(matches!(Credentials::parse(&format!("{seed}\n")), Some(Credentials::Seed(text)) if text == seed));
        let parsed = Credentials::parse("# for throng\nann:p:w\n");
        assert!(
            matches!(parsed, Some(Credentials::Password { user, password }) if (&*user, &*password) == ("ann", "p:w"))
        );
        for text in ["", "ann", ":x", "ann:x\nbob:y", "SUAIO3"] {
            assert!(Credentials::parse(text).is_none(), "{text}");
        }
    }
}
