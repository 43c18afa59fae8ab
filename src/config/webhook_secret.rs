//! The secret of webhooks, in the form of the Standard Webhooks specification.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use thiserror::Error;

/// What stands before the base64, so that tools find secrets in texts.
const PREFIX: &str = "whsec_";

/// Bytes of the specification: fewer can be guessed, and more than a block of SHA-256 are hashed to fewer.
const BYTES: RangeInclusive<usize> = 24..=64;

/// A secret that signs webhooks. It is never printed.
#[derive(Clone, Eq, PartialEq)]
pub struct WebhookSecret(Vec<u8>);

/// Text that is not such a secret. The error does not repeat it.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error(
    "it is not {PREFIX} followed by 24 to 64 bytes in base64; make one with: echo whsec_$(openssl rand -base64 32)"
)]
pub struct WebhookSecretError;

impl WebhookSecret {
    /// Returns the key.
    pub fn key(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for WebhookSecret {
    type Err = WebhookSecretError;

    fn from_str(text: &str) -> Result<Self, WebhookSecretError> {
        let key = text.strip_prefix(PREFIX).and_then(|base64| STANDARD.decode(base64).ok());
        key.filter(|key| BYTES.contains(&key.len())).map(Self).ok_or(WebhookSecretError)
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(..)")
    }
}
