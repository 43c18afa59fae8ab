//! The URL of a JWK Set: where the public keys of an issuer are.

use super::host::HostPort;
use hyper::Uri;
use std::str::FromStr;
use thiserror::Error;

/// URL of a JWK Set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JwksUrl {
    text: String,
    /// Whether it is https.
    pub is_encrypted: bool,
    /// Host without brackets.
    pub host: String,
    /// The port, that of the scheme if none is given.
    pub port: u16,
    /// The path with its query.
    pub target: String,
}

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
    /// Returns the URL as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns host and port for the header `Host`.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{host}:{}", self.port)
    }
}

impl FromStr for JwksUrl {
    type Err = JwksUrlError;

    fn from_str(text: &str) -> Result<Self, JwksUrlError> {
        let malformed = || JwksUrlError::Malformed { text: text.to_owned() };
        let url = text.parse::<Uri>().map_err(|_| malformed())?;
        let is_encrypted = match url.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(malformed()),
        };
        let host = url.authority().and_then(|authority| HostPort::parse(authority.as_str())).ok_or_else(malformed)?;
        if !is_encrypted && !host.is_loopback() {
            return Err(JwksUrlError::Plain { text: text.to_owned() });
        }
        Ok(Self {
            text: text.to_owned(),
            is_encrypted,
            port: host.port.unwrap_or(if is_encrypted { 443 } else { 80 }),
            host: host.host.trim_matches(['[', ']']).to_owned(),
            target: url.path_and_query().map_or("/", |target| target.as_str()).to_owned(),
        })
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
            let url = text.parse::<JwksUrl>().unwrap();
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
