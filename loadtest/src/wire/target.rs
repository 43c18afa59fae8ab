//! A target: a `ws://` or `http://` address on this machine, taken apart.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where to connect and what to ask for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Target {
    /// As it was written.
    text: String,
    pub(crate) address: SocketAddr,
    /// Host and port, for the `Host` header.
    pub(crate) host: String,
    /// Path and query.
    pub(crate) path: String,
}

impl Target {
    /// Takes a URL apart.
    ///
    /// # Errors
    ///
    /// Fails on other schemes and on addresses that are not loopback: the generator has no right to load another
    /// machine, and the server's CPU could not be read there.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let rest = text
            .strip_prefix("ws://")
            .or_else(|| text.strip_prefix("http://"))
            .ok_or("the scheme must be ws:// (http:// for metrics); put no TLS in front of what is measured")?;
        let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        let host = if has_port { host.to_owned() } else { format!("{host}:80") };
        let mut addresses = host.to_socket_addrs().map_err(|error| format!("{host}: {error}"))?;
        let address = addresses
            .find(|address| address.ip().is_loopback())
            .ok_or_else(|| format!("{host} is not on this machine; use a loopback address such as 127.0.0.1"))?;
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self { text: text.to_owned(), address, path: format!("{slash}{path}"), host })
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
        assert_eq!(Target::parse("ws://[::1]:9/x").unwrap().address, "[::1]:9".parse().unwrap());
    }

    #[test]
    fn other_schemes_and_machines_are_refused() {
        assert!(Target::parse("wss://127.0.0.1/ws").is_err());
        assert!(Target::parse("127.0.0.1:8080").is_err());
        assert!(Target::parse("ws://192.0.2.1:8080/ws").unwrap_err().contains("not on this machine"));
    }
}
