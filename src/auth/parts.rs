//! The parts of a token: header, claims and signature (JWS compact serialization, RFC 7515 section 3.1).

use super::error::{TOKEN_BYTES_MAX, TokenError};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// A token, taken apart. Nothing of it is verified.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The header.
    pub header: Map<String, Value>,
    /// The claims.
    pub claims: Map<String, Value>,
    /// What is signed: the first two parts as they are.
    pub message: &'a [u8],
    /// The signature.
    pub signature: Vec<u8>,
}

impl<'a> Parts<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    ///
    /// [`TokenError`] if it is too long, malformed, or ambiguous.
    pub fn parse(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, claims) = message.split_once('.').ok_or(TokenError::Malformed)?;
        Ok(Self {
            header: object(&decode(header)?)?,
            claims: object(&decode(claims)?)?,
            message: message.as_bytes(),
            signature: decode(signature)?,
        })
    }

    /// Returns the name of the algorithm; empty if it is not a text.
    pub fn algorithm(&self) -> &str {
        self.header.get("alg").and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the ID of the key, if the header names one.
    ///
    /// # Errors
    ///
    /// [`TokenError::Malformed`] if it is not a text.
    pub fn kid(&self) -> Result<Option<&str>, TokenError> {
        match self.header.get("kid") {
            None => Ok(None),
            Some(kid) => kid.as_str().map(Some).ok_or(TokenError::Malformed),
        }
    }
}

/// Decodes one part: no padding, no white space, and no bits that are not used, so that a token has one form.
fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)
}

fn object(json: &[u8]) -> Result<Map<String, Value>, TokenError> {
    let object: Object = serde_json::from_slice(json).map_err(|_| TokenError::Malformed)?;
    if object.has_duplicate { Err(TokenError::Duplicate) } else { Ok(object.members) }
}

/// A JSON object, and whether a name of it occurs twice, of which readers take the first or the last.
struct Object {
    members: Map<String, Value>,
    has_duplicate: bool,
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut object = Object { members: Map::new(), has_duplicate: false };
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    object.has_duplicate |= object.members.insert(name, value).is_some();
                }
                Ok(object)
            }
        }

        deserializer.deserialize_map(Members)
    }
}
