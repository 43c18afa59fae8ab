//! A target: a `ws://`, `wss://` or `http://` address on this machine, taken apart.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::net::{SocketAddr, ToSocketAddrs};
use std::{fmt, io};
use thiserror::Error;

/// An address and a request path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Target {
    /// As it was written.
    text: String,
    /// Whether the address speaks TLS.
    pub(crate) is_encrypted: bool,
    pub(crate) address: SocketAddr,
    /// Host and port, for the `Host` header.
    pub(crate) host: String,
    /// Path and query.
    pub(crate) path: String,
}

/// Why an address is refused.
#[derive(Debug, Error)]
pub(crate) enum TargetError {
    #[error("the scheme must be ws:// or wss:// (http:// for metrics)")]
    Scheme,
    #[error("{host}: {source}")]
    Resolve { host: String, source: io::Error },
    #[error("{0} is not on this machine; use a loopback address such as 127.0.0.1")]
    NotLocal(String),
}

impl Target {
    /// Parses a URL.
    ///
    /// # Errors
    ///
    /// Fails on other schemes and on addresses that are not loopback: the generator has no right to load another
    /// machine, and the server's CPU could not be read there.
    pub(crate) fn parse(text: &str) -> Result<Self, TargetError> {
        let (is_encrypted, rest) = match text.split_once("://") {
            Some(("ws" | "http", rest)) => (false, rest),
            Some(("wss", rest)) => (true, rest),
            _ => return Err(TargetError::Scheme),
        };
        let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        let port = if is_encrypted { 443 } else { 80 };
        let host = if has_port { host.to_owned() } else { format!("{host}:{port}") };
        let resolved = host.to_socket_addrs();
        let mut addresses = resolved.map_err(|source| TargetError::Resolve { host: host.clone(), source })?;
        let address = addresses.find(|address| address.ip().is_loopback());
        let address = address.ok_or_else(|| TargetError::NotLocal(host.clone()))?;
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self { text: text.to_owned(), is_encrypted, address, path: format!("{slash}{path}"), host })
    }

    /// Returns another path of the same server, as `http://` unless it is encrypted.
    pub(crate) fn with_path(&self, path: &str) -> Self {
        let scheme = if self.is_encrypted { "wss" } else { "http" };
        Self { text: format!("{scheme}://{}{path}", self.host), path: path.to_owned(), ..self.clone() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_and_query_are_kept() {
        let target = Target::parse("ws://127.0.0.1:8080/ws?channel=lobby&x=1").unwrap();
        assert_eq!((target.path.as_str(), target.host.as_str()), ("/ws?channel=lobby&x=1", "127.0.0.1:8080"));
        assert_eq!(Target::parse("ws://127.0.0.1?a").unwrap().path, "/?a");
        let encrypted = Target::parse("wss://127.0.0.1/ws").unwrap();
        assert_eq!((encrypted.is_encrypted, encrypted.address.port()), (true, 443));
        assert_eq!(Target::parse("ws://[::1]:9/x").unwrap().address, "[::1]:9".parse().unwrap());
    }

    #[test]
    fn other_schemes_and_machines_are_refused() {
        assert!(Target::parse("https://127.0.0.1/ws").is_err());
        assert!(Target::parse("127.0.0.1:8080").is_err());
        assert!(Target::parse("ws://192.0.2.1:8080/ws").unwrap_err().to_string().contains("not on this machine"));
    }
}
