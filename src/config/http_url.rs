//! The URL of a server that the hub sends requests to.

use super::host::HostPort;
use hyper::Uri;
use std::str::FromStr;
use thiserror::Error;

/// An absolute URL with the scheme http or https.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HttpUrl {
    text: String,
    /// Whether it is https.
    pub is_encrypted: bool,
    /// Host without brackets.
    pub host: String,
    /// The port, that of the scheme if none is given.
    pub port: u16,
    /// The path with its query.
    pub target: String,
    /// Whether the host is this machine.
    pub is_loopback: bool,
}

/// Text that is not such a URL.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{text:?} is not a URL such as http://127.0.0.1:3000/hooks")]
pub struct HttpUrlError {
    text: String,
}

impl HttpUrl {
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

impl FromStr for HttpUrl {
    type Err = HttpUrlError;

    fn from_str(text: &str) -> Result<Self, HttpUrlError> {
        let malformed = || HttpUrlError { text: text.to_owned() };
        let url = text.parse::<Uri>().map_err(|_| malformed())?;
        let is_encrypted = match url.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(malformed()),
        };
        let host = url.authority().and_then(|authority| HostPort::parse(authority.as_str())).ok_or_else(malformed)?;
        Ok(Self {
            text: text.to_owned(),
            is_encrypted,
            port: host.port.unwrap_or(if is_encrypted { 443 } else { 80 }),
            is_loopback: host.is_loopback(),
            host: host.host.trim_matches(['[', ']']).to_owned(),
            target: url.path_and_query().map_or("/", |target| target.as_str()).to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_absolute_and_names_no_user() {
        for (text, authority, target, is_encrypted) in [
            ("http://backend:3000/hooks?a=b", "backend:3000", "/hooks?a=b", false),
            ("https://app.example.com", "app.example.com:443", "/", true),
            ("http://[::1]/x", "[::1]:80", "/x", false),
        ] {
            let url = text.parse::<HttpUrl>().unwrap();
            assert_eq!(
                (url.authority().as_str(), url.target.as_str(), url.is_encrypted),
                (authority, target, is_encrypted)
            );
            assert_eq!(url.as_str(), text);
        }
        for text in ["", "backend:3000", "ftp://x/", "https://", "http://user:pass@x/", "/hooks", "unix:/x"] {
            assert!(text.parse::<HttpUrl>().is_err(), "{text}");
        }
    }
}
