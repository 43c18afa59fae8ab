//! A key check that tells nobody how close a guess was.

use crate::config::Key;
use crate::session::rate::Rate;
use hyper::HeaderMap;
use hyper::header;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use tokio::time::Instant;

/// Wrong keys per second, of everybody together: too few to guess, enough for a tool that is set up wrongly to be told.
const WRONG_KEYS_MAX: u32 = 10;

/// What a request's key is worth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// One of the keys.
    Right,
    /// None, or none of them.
    Wrong,
    /// Wrong, as too many before it.
    TooMany,
    /// There is nothing to open.
    NoKeys,
}

/// Judges keys, and counts the wrong ones.
#[derive(Debug)]
pub(in crate::transport) struct Keys {
    wrong: Mutex<Rate>,
}

impl Keys {
    pub(in crate::transport) fn new() -> Self {
        Self { wrong: Mutex::new(Rate::new(Instant::now())) }
    }

    /// Compares the request's key with every known one, whichever fits, by digests of equal length.
    pub(super) fn judge(&self, headers: &HeaderMap, known: &[Key]) -> Verdict {
        if known.is_empty() {
            return Verdict::NoKeys;
        }
        let given = Sha256::digest(given(headers).unwrap_or_default());
        let is_right = known
            .iter()
            .fold(Choice::from(0), |is_right, key| is_right | given.ct_eq(&Sha256::digest(key.secret().as_bytes())));
        if bool::from(is_right) {
            Verdict::Right
        } else if self.wrong.lock().allow(Instant::now(), WRONG_KEYS_MAX) {
            Verdict::Wrong
        } else {
            Verdict::TooMany
        }
    }
}

fn given(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = || headers.get(header::AUTHORIZATION)?.as_bytes().strip_prefix(b"Bearer ");
    headers.get("x-api-key").map(|key| key.as_bytes()).or_else(bearer)
}
