//! Signing: makes tokens with a secret, for `throng gen-token` and for tests. A hub itself issues none.

use super::error::KeyError;
use super::key::hmac_of;
use crate::config::TokenAlgorithm;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Value, json};

/// Returns a token with these claims.
///
/// # Errors
///
/// [`KeyError::Kind`] if the algorithm does not sign with a secret.
pub fn sign(algorithm: TokenAlgorithm, kid: Option<&str>, secret: &[u8], claims: &Value) -> Result<String, KeyError> {
    let needs = KeyError::Kind { algorithm: algorithm.name(), found: "secret", needed: "a private key" };
    let hash = hmac_of(algorithm).ok_or(needs)?;
    let mut header = json!({ "alg": algorithm.name(), "typ": "JWT" });
    if let Some(kid) = kid {
        header["kid"] = kid.into();
    }
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let message = format!("{}.{}", encode(&header), encode(claims));
    let signature = hmac::sign(&hmac::Key::new(hash, secret), message.as_bytes());
    Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
