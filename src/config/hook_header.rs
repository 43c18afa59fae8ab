//! Headers of requests to hooks: names of those that are passed on, and those that every request has.

use hyper::header::{self, HeaderName, HeaderValue};
use std::str::FromStr;
use thiserror::Error;

/// Headers that hold between two neighbours only (RFC 9110 section 7.6.1), or that the request itself sets.
const REFUSED: [HeaderName; 14] = [
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::EXPECT,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// The name of a header of a client's handshake that is passed on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientHeader {
    /// In lower case.
    pub name: HeaderName,
}

/// A header that every request has. Its value is never printed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StaticHeader {
    /// In lower case.
    pub name: HeaderName,
    /// Marked as sensitive.
    pub value: HeaderValue,
}

/// Text that is not a header of a request.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum HookHeaderError {
    /// No header can have that name.
    #[error("{text:?} is not the name of a header")]
    Name {
        /// The text.
        text: String,
    },
    /// A request would be another one with it.
    #[error("{name} belongs to one connection, or is set by the hub; leave it out")]
    Refused {
        /// The name.
        name: HeaderName,
    },
    /// It is not a name and a value. The text may be a secret and is not repeated.
    #[error("a header is written NAME: VALUE, with visible characters of ASCII")]
    Header,
}

fn name(text: &str) -> Result<HeaderName, HookHeaderError> {
    let name = text.parse::<HeaderName>().map_err(|_| HookHeaderError::Name { text: text.to_owned() })?;
    if REFUSED.contains(&name) { Err(HookHeaderError::Refused { name }) } else { Ok(name) }
}

impl FromStr for ClientHeader {
    type Err = HookHeaderError;

    fn from_str(text: &str) -> Result<Self, HookHeaderError> {
        Ok(Self { name: name(text)? })
    }
}

impl FromStr for StaticHeader {
    type Err = HookHeaderError;

    fn from_str(text: &str) -> Result<Self, HookHeaderError> {
        let (before, value) = text.split_once(':').ok_or(HookHeaderError::Header)?;
        let name = name(before.trim()).map_err(|error| match error {
            HookHeaderError::Name { .. } => HookHeaderError::Header,
            error => error,
        })?;
        let mut value = HeaderValue::from_str(value.trim()).map_err(|_| HookHeaderError::Header)?;
        value.set_sensitive(true);
        Ok(Self { name, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that reached the request could end it early and begin another one.
    #[test]
    fn headers_of_the_connection_are_refused_however_they_are_written() {
        for text in ["Transfer-Encoding", "CONNECTION", "content-length", "Host", "Keep-Alive", "Upgrade"] {
            assert!(matches!(text.parse::<ClientHeader>(), Err(HookHeaderError::Refused { .. })), "{text}");
            let fixed = format!("{text}: x").parse::<StaticHeader>();
            assert!(matches!(fixed, Err(HookHeaderError::Refused { .. })), "{text}");
        }
        assert_eq!("Cookie".parse::<ClientHeader>().unwrap().name, "cookie");
        let fixed = "Authorization:  Bearer abc:def ".parse::<StaticHeader>().unwrap();
        assert_eq!((fixed.name.as_str(), fixed.value.to_str().unwrap()), ("authorization", "Bearer abc:def"));
        assert!(!format!("{fixed:?}").contains("abc"));
        for text in ["", "X", ": x", "X: a\r\nY: b", "X\nY: a"] {
            assert_eq!(text.parse::<StaticHeader>(), Err(HookHeaderError::Header), "{text:?}");
        }
    }
}
