//! An address to listen on, and the protocols that come before HTTP there.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use thiserror::Error;

/// Hosts that only this machine reaches.
const LOOPBACK: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// An address to listen on, with the protocols that come before HTTP: `[proxy+][tls+]HOST:PORT` or
/// `[proxy+][tls+]unix:PATH`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Address {
    /// Socket to listen on.
    pub socket: SocketAddress,
    /// Every connection begins with a PROXY protocol header.
    pub has_proxy_protocol: bool,
    /// Connections use TLS, after the PROXY header if there is one.
    pub is_encrypted: bool,
}

/// Socket to listen on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SocketAddress {
    /// `HOST:PORT`, where `:PORT` means every interface.
    Tcp(String),
    /// Path of a Unix socket.
    Unix(PathBuf),
}

/// Text that is not an address to listen on.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum AddressError {
    /// The text has the wrong shape.
    #[error("{text} is not [proxy+][tls+]HOST:PORT, :PORT or unix:PATH")]
    Shape {
        /// The text.
        text: String,
    },
    /// The port is not a 16-bit number.
    #[error("the port {port} is not between 0 and 65535")]
    Port {
        /// The text after the last colon.
        port: String,
    },
}

impl Address {
    /// Returns whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        match &self.socket {
            SocketAddress::Tcp(text) => LOOPBACK.contains(&text.rsplit_once(':').map_or("", |(host, _)| host)),
            SocketAddress::Unix(_) => true,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (has_proxy_protocol, rest) = text.strip_prefix("proxy+").map_or((false, text), |rest| (true, rest));
        let (is_encrypted, rest) = rest.strip_prefix("tls+").map_or((false, rest), |rest| (true, rest));
        let shape = || AddressError::Shape { text: text.to_owned() };
        let socket = match rest.strip_prefix("unix:") {
            Some("") => return Err(shape()),
            Some(path) => SocketAddress::Unix(path.into()),
            None => {
                let (host, port) = rest.rsplit_once(':').ok_or_else(shape)?;
                if port.parse::<u16>().is_err() {
                    return Err(AddressError::Port { port: port.to_owned() });
                }
                if host.contains(['/', '+']) || (host.contains(':') && !host.starts_with('[')) {
                    return Err(shape());
                }
                SocketAddress::Tcp(if host.is_empty() { format!("0.0.0.0:{port}") } else { rest.to_owned() })
            }
        };
        Ok(Self { socket, has_proxy_protocol, is_encrypted })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proxy = if self.has_proxy_protocol { "proxy+" } else { "" };
        let tls = if self.is_encrypted { "tls+" } else { "" };
        match &self.socket {
            SocketAddress::Tcp(text) => write!(f, "{proxy}{tls}{text}"),
            SocketAddress::Unix(path) => write!(f, "{proxy}{tls}unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The log prints addresses in a form that can be used as a setting.
    #[test]
    fn every_form_is_read_and_printed_again() {
        for (text, printed) in [
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
            assert_eq!(text.parse::<Address>().unwrap().to_string(), printed);
        }
    }

    #[test]
    fn text_that_is_not_an_address_is_refused() {
        for text in
            ["", "nowhere", "host:", "host:65536", "unix:", "tls://h:1", "tls+proxy+h:1", "http://host:80", "::1:80"]
        {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    /// Echo, and an internal listener without a key, may be reached from this machine only.
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
