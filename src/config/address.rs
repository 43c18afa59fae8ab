//! An address to listen on: where, and what is spoken before HTTP.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use thiserror::Error;

/// Hosts that only this very machine reaches.
const LOOPBACK: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// Where to listen, and what comes before HTTP there.
///
/// `[proxy+][tls+]HOST:PORT` or `[proxy+][tls+]unix:PATH`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Address {
    /// Where.
    pub place: Place,
    /// Every connection begins with a header of the PROXY protocol.
    pub has_proxy_protocol: bool,
    /// TLS is spoken, after that header if there is one.
    pub is_encrypted: bool,
}

/// Where a listener stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// `HOST:PORT`; every interface when it was written `:PORT`.
    Tcp(String),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Text that is no address.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum AddressError {
    /// No colon before a port.
    #[error("{text} is not [proxy+][tls+]HOST:PORT, :PORT or unix:PATH")]
    Shape {
        /// As given.
        text: String,
    },
    /// The port is no number of 16 bits.
    #[error("the port {port} is not between 0 and 65535")]
    Port {
        /// As given.
        port: String,
    },
}

impl Address {
    /// Returns whether nobody beyond this machine can reach it.
    pub fn is_local(&self) -> bool {
        match &self.place {
            Place::Tcp(text) => LOOPBACK.contains(&text.rsplit_once(':').map_or("", |(host, _)| host)),
            Place::Unix(_) => true,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (has_proxy_protocol, rest) = text.strip_prefix("proxy+").map_or((false, text), |rest| (true, rest));
        let (is_encrypted, rest) = rest.strip_prefix("tls+").map_or((false, rest), |rest| (true, rest));
        let shape = || AddressError::Shape { text: text.to_owned() };
        let place = match rest.strip_prefix("unix:") {
            Some("") => return Err(shape()),
            Some(path) => Place::Unix(path.into()),
            None => {
                let (host, port) = rest.rsplit_once(':').ok_or_else(shape)?;
                if port.parse::<u16>().is_err() {
                    return Err(AddressError::Port { port: port.to_owned() });
                }
                if host.contains(['/', '+']) || (host.contains(':') && !host.starts_with('[')) {
                    return Err(shape());
                }
                Place::Tcp(if host.is_empty() { format!("0.0.0.0:{port}") } else { rest.to_owned() })
            }
        };
        Ok(Self { place, has_proxy_protocol, is_encrypted })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proxy = if self.has_proxy_protocol { "proxy+" } else { "" };
        let tls = if self.is_encrypted { "tls+" } else { "" };
        match &self.place {
            Place::Tcp(text) => write!(f, "{proxy}{tls}{text}"),
            Place::Unix(path) => write!(f, "{proxy}{tls}unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written is what is meant, and what a log says can be given again.
    #[test]
    fn every_shape_is_read_and_said_again() {
        for (text, said) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            (":80", "0.0.0.0:80"),
            ("[::1]:443", "[::1]:443"),
            ("proxy+example.com:0", "proxy+example.com:0"),
            ("proxy+:443", "proxy+0.0.0.0:443"),
            ("tls+:443", "tls+0.0.0.0:443"),
            ("proxy+tls+[::]:443", "proxy+tls+[::]:443"),
            ("unix:/run/throng.sock", "unix:/run/throng.sock"),
            ("proxy+unix:a:b", "proxy+unix:a:b"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), said);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in
            ["", "nowhere", "host:", "host:65536", "unix:", "tls://h:1", "tls+proxy+h:1", "http://host:80", "::1:80"]
        {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    /// Echo, and an internal listener without a key, stay on the machine.
    #[test]
    fn only_loopback_and_unix_sockets_are_local() {
        for local in ["127.0.0.1:0", "localhost:1", "[::1]:80", "unix:x"] {
            assert!(local.parse::<Address>().unwrap().is_local(), "{local}");
        }
        for public in [":80", "10.0.0.1:80", "[::]:80", "example.com:80"] {
            assert!(!public.parse::<Address>().unwrap().is_local(), "{public}");
        }
    }
}
