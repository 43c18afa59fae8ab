//! The check of an operator's key, in constant time so that it does not reveal how close a guess was.

use crate::config::Key;
use crate::rate::FixedWindow;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use tokio::time::Instant;

/// Wrong keys per second of all clients together: too few to guess a key, enough to answer a misconfigured tool.
const WRONG_KEYS_MAX: u32 = 10;

/// The result of a check.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum KeyStatus {
    /// One of the configured keys.
    Right,
    /// Missing, or not one of them.
    Wrong,
    /// Wrong, and too many before it were wrong as well.
    TooMany,
    /// No keys are configured.
    NoKeys,
}

/// Checks keys, and limits how many wrong ones can be tried.
#[derive(Debug)]
pub(crate) struct KeyCheck {
    wrong: WrongKeys,
}

/// Counts wrong keys, of all clients together.
#[derive(Debug)]
pub(super) struct WrongKeys(Mutex<FixedWindow>);

impl WrongKeys {
    pub(super) fn new() -> Self {
        Self(Mutex::new(FixedWindow::new(Instant::now())))
    }

    /// Counts one, and returns whether it was one too many.
    pub(super) fn count(&self) -> KeyStatus {
        let is_within = self.0.lock().try_count(Instant::now(), WRONG_KEYS_MAX);
        if is_within { KeyStatus::Wrong } else { KeyStatus::TooMany }
    }
}

impl KeyCheck {
    pub(crate) fn new() -> Self {
        Self { wrong: WrongKeys::new() }
    }

    /// Compares a key with every known one, also after a match, by digests of equal length.
    pub(crate) fn check(&self, given: &[u8], known: &[Key]) -> KeyStatus {
        if known.is_empty() {
            return KeyStatus::NoKeys;
        }
        let given = Sha256::digest(given);
        let is_right = known
            .iter()
            .fold(Choice::from(0), |is_right, key| is_right | given.ct_eq(&Sha256::digest(key.secret().as_bytes())));
        if bool::from(is_right) { KeyStatus::Right } else { self.wrong.count() }
    }
}
