//! The URL of a JWK Set: where the public keys of an issuer are.

use super::http_url::HttpUrl;
use std::str::FromStr;
use thiserror::Error;

/// URL of a JWK Set: https, or of this machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JwksUrl(HttpUrl);

/// Text that is not the URL of a JWK Set.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum JwksUrlError {
    /// It has another scheme, or no host, or names a user.
    #[error("{text:?} is not a URL such as https://auth.example.com/.well-known/jwks.json")]
    Malformed {
        /// The text.
        text: String,
    },
    /// Who can change what is read can make tokens.
    #[error(
        "{text:?} is not encrypted, so that everyone on the way could make tokens of their own; use https, or an \
         issuer on this machine"
    )]
    Plain {
        /// The text.
        text: String,
    },
}

impl JwksUrl {
    /// Returns the URL.
    pub fn url(&self) -> &HttpUrl {
        &self.0
    }
}

impl FromStr for JwksUrl {
    type Err = JwksUrlError;

    fn from_str(text: &str) -> Result<Self, JwksUrlError> {
        let url = text.parse::<HttpUrl>().map_err(|_| JwksUrlError::Malformed { text: text.to_owned() })?;
        if url.is_encrypted || url.is_loopback {
            return Ok(Self(url));
        }
        Err(JwksUrlError::Plain { text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_encrypted_or_of_this_machine() {
        for (text, authority, target) in [
            ("https://auth.example.com/jwks?a=b", "auth.example.com:443", "/jwks?a=b"),
            ("https://auth.example.com:8443", "auth.example.com:8443", "/"),
            ("http://127.0.0.1:9000/keys", "127.0.0.1:9000", "/keys"),
            ("http://[::1]/keys", "[::1]:80", "/keys"),
            ("http://localhost/keys", "localhost:80", "/keys"),
        ] {
            let JwksUrl(url) = text.parse::<JwksUrl>().unwrap();
            assert_eq!((url.authority().as_str(), url.target.as_str(), url.as_str()), (authority, target, text));
        }
        for text in ["http://auth.example.com/keys", "http://10.0.0.1/keys", "http://localhost.example.com/"] {
            assert!(matches!(text.parse::<JwksUrl>(), Err(JwksUrlError::Plain { .. })), "{text}");
        }
        for text in ["", "auth.example.com", "ftp://x/", "https://", "https://user:pass@x/", "/keys"] {
            assert!(matches!(text.parse::<JwksUrl>(), Err(JwksUrlError::Malformed { .. })), "{text}");
        }
    }
}
