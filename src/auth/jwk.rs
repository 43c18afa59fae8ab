//! A JWK Set (RFC 7517): the public keys of an issuer, as it serves them.

use super::error::KeyError;
use super::key::TokenKey;
use super::public_key::PublicKey;
use crate::config::TokenAlgorithm;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// Most keys that are taken from a set: issuers have two or three, and each one without an ID costs a verification.
pub const KEYS_MAX: usize = 64;

/// The keys of a set that can verify tokens.
#[derive(Debug)]
pub struct JwkSet {
    /// Those that can be used.
    pub keys: Vec<TokenKey>,
    /// How many others there were: of another use, kind or algorithm, or beyond [`KEYS_MAX`].
    pub skipped: usize,
}

impl JwkSet {
    /// Reads a set. Keys that cannot be used are skipped, as RFC 7517 section 5 demands.
    ///
    /// # Errors
    ///
    /// [`KeyError::NotJwkSet`] if the text is none.
    pub fn parse(text: &[u8]) -> Result<Self, KeyError> {
        let set: Value = serde_json::from_slice(text).map_err(|_| KeyError::NotJwkSet)?;
        let items = set.get("keys").and_then(Value::as_array).ok_or(KeyError::NotJwkSet)?;
        let keys: Vec<_> = items.iter().filter_map(read_key).take(KEYS_MAX).collect();
        Ok(Self { skipped: items.len() - keys.len(), keys })
    }
}

/// Reads a key. Its algorithm is the one that it names or, if it names none, the usual one of its kind.
fn read_key(jwk: &Value) -> Option<TokenKey> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    if text("use").is_some_and(|usage| usage != "sig") {
        return None;
    }
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    // A set is public, so a secret in it (kty oct) is none, and it is left out like every kind that is not known.
    let (key, usual) = match (text("kty")?, text("crv")) {
        ("RSA", _) => (PublicKey::Rsa { n: unsigned(bytes("n")?), e: unsigned(bytes("e")?) }, TokenAlgorithm::Rs256),
        ("EC", Some("P-256")) => (PublicKey::P256(point(&bytes("x")?, &bytes("y")?, 32)?), TokenAlgorithm::Es256),
        ("EC", Some("P-384")) => (PublicKey::P384(point(&bytes("x")?, &bytes("y")?, 48)?), TokenAlgorithm::Es384),
        ("OKP", Some("Ed25519")) => (PublicKey::Ed25519(bytes("x")?), TokenAlgorithm::EdDSA),
        _ => return None,
    };
    let algorithm = text("alg").map_or(Some(usual), TokenAlgorithm::of_name)?;
    TokenKey::from_public(text("kid").map(str::to_owned), algorithm, key).ok()
}

/// Removes leading zeros, which the library does not take.
fn unsigned(bytes: Vec<u8>) -> Vec<u8> {
    bytes.into_iter().skip_while(|byte| *byte == 0).collect()
}

/// Returns an uncompressed point, SEC 1 section 2.3.3. RFC 7518 section 6.2.1.2 fixes the length of both coordinates.
fn point(x: &[u8], y: &[u8], len: usize) -> Option<Vec<u8>> {
    (x.len() == len && y.len() == len).then(|| [&[4], x, y].concat())
}
