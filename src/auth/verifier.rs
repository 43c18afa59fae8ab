//! The verifier: the keys and the rules of the settings, applied to a token.

use super::claims::Claims;
use super::error::{KeyError, TokenError};
use super::key::TokenKey;
use super::parts::Parts;
use super::public_key::PublicKey;
use crate::config::{TokenConfig, TokenKeyConfig};

/// How far the clock of an issuer may be ahead of ours, in seconds. It counts for the beginning of a token and not for
/// its end, which is also the end of the connection.
const CLOCK_SKEW: u64 = 60;

/// Verifies tokens.
#[derive(Debug)]
pub struct Verifier {
    keys: Vec<TokenKey>,
    /// Keys are fetched too.
    has_key_set: bool,
    audience: Option<String>,
    issuer: Option<String>,
    /// Everyone may be who they say they are.
    is_insecure: bool,
    /// A token has to expire.
    is_strict: bool,
}

impl Verifier {
    /// Reads the keys of the settings.
    ///
    /// # Errors
    ///
    /// [`KeyError::Configured`] names the first key that cannot be used.
    pub fn new(config: &TokenConfig, keys: &[TokenKeyConfig]) -> Result<Self, KeyError> {
        let read = |(index, key)| {
            read_key(key).map_err(|error| KeyError::Configured { number: index + 1, error: Box::new(error) })
        };
        Ok(Self {
            keys: keys.iter().enumerate().map(read).collect::<Result<_, _>>()?,
            has_key_set: config.jwks_url.is_some(),
            audience: config.token_audience.clone(),
            issuer: config.token_issuer.clone(),
            is_insecure: config.token_insecure,
            is_strict: config.token_strict,
        })
    }

    /// Returns whether tokens are looked at: there are keys, or none are needed.
    pub fn is_configured(&self) -> bool {
        !self.keys.is_empty() || self.has_key_set || self.is_insecure
    }

    /// Verifies a token with the keys of the settings and those that were fetched, at a time in seconds since the
    /// epoch.
    ///
    /// # Errors
    ///
    /// [`TokenError`] says what is wrong with it first: its form, its key, its signature, then its claims.
    pub fn verify(&self, fetched: &[TokenKey], token: &str, now: u64) -> Result<Claims, TokenError> {
        if !self.is_configured() {
            return Err(TokenError::NoKeys);
        }
        let parts = Parts::parse(token)?;
        if !self.is_insecure {
            verify_signature(self.keys.iter().chain(fetched), &parts)?;
        }
        let claims = Claims::read(&parts.claims)?;
        self.check(&claims, now)?;
        Ok(claims)
    }

    fn check(&self, claims: &Claims, now: u64) -> Result<(), TokenError> {
        let is_ahead = |time: Option<u64>| time.is_some_and(|time| time > now + CLOCK_SKEW);
        let is_over = |time: Option<u64>| time.is_some_and(|time| time <= now);
        if self.is_strict && claims.expires.is_none() {
            Err(TokenError::Claim("exp"))
        } else if is_over(claims.expires) || is_over(claims.connection_expires) {
            Err(TokenError::Expired)
        } else if is_ahead(claims.not_before) {
            Err(TokenError::NotYetValid)
        } else if is_ahead(claims.issued) {
            Err(TokenError::IssuedInFuture)
        } else if self.audience.as_ref().is_some_and(|audience| !claims.audience.contains(audience)) {
            Err(TokenError::Audience)
        } else if self.issuer.is_some() && self.issuer != claims.issuer {
            Err(TokenError::Issuer)
        } else {
            Ok(())
        }
    }
}

/// Checks that one of the keys with the token's ID has signed it. Several keys without an ID are tried in turn, so that
/// a secret can be replaced without one.
fn verify_signature<'a>(keys: impl Iterator<Item = &'a TokenKey>, parts: &Parts<'_>) -> Result<(), TokenError> {
    if parts.header.contains_key("crit") {
        return Err(TokenError::Critical);
    }
    let algorithm = parts.algorithm();
    // Some libraries accept other spellings.
    if algorithm.eq_ignore_ascii_case("none") {
        return Err(TokenError::Unsigned);
    }
    let kid = parts.kid()?;
    let mut refusal = TokenError::UnknownKey;
    for key in keys.filter(|key| key.kid() == kid) {
        if key.algorithm().name() != algorithm {
            // A wrong signature says more than a key that is for others.
            if refusal == TokenError::UnknownKey {
                refusal = TokenError::Algorithm;
            }
        } else if key.is_signature(parts.message, &parts.signature) {
            return Ok(());
        } else {
            refusal = TokenError::Signature;
        }
    }
    Err(refusal)
}

/// Reads a key of the settings, which have checked that it is a secret or a public key, as its algorithm needs.
fn read_key(config: &TokenKeyConfig) -> Result<TokenKey, KeyError> {
    let kid = config.kid.clone();
    if let Some(secret) = &config.secret {
        return TokenKey::from_secret(kid, config.algorithm, secret.as_str().as_bytes());
    }
    let text = config.public_key.as_ref().map_or("", |key| key.as_str());
    let pem = if text.contains("-----BEGIN") {
        text.as_bytes().to_vec()
    } else {
        std::fs::read(text).map_err(|error| KeyError::File(error.to_string()))?
    };
    TokenKey::from_public(kid, config.algorithm, PublicKey::from_pem(&pem)?)
}
