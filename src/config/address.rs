//! An address to listen on, and the protocols that come before HTTP there.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;
use thiserror::Error;

/// Longest path of a Unix socket: the kernel's `sun_path` has 108 bytes, the last of which is zero.
const UNIX_PATH_MAX: usize = 107;

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
    /// `HOST:PORT`.
    Tcp(Host, u16),
    /// Path of a Unix socket.
    Unix(PathBuf),
}

/// Where a TCP port is opened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Host {
    /// Every address of this machine, of both families: `:PORT`.
    Any,
    /// One address, or every address of one family. An IPv6 address may have a zone, as in `fe80::1%eth0`.
    Ip(IpAddr, Option<String>),
    /// A name, which may have several addresses.
    Name(String),
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
    /// The host looks like an IPv4 address.
    #[error("{host} is not an IPv4 address: give four numbers up to 255")]
    Ipv4 {
        /// The text before the last colon.
        host: String,
    },
    /// The kernel does not take longer paths.
    #[error("the path of a Unix socket has at most {UNIX_PATH_MAX} bytes, and {path} has {len}")]
    UnixPath {
        /// The path.
        path: String,
        /// Its length.
        len: usize,
    },
}

impl Address {
    /// Returns whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        match &self.socket {
            SocketAddress::Tcp(Host::Any, _) => false,
            SocketAddress::Tcp(Host::Ip(ip, _), _) => ip.to_canonical().is_loopback(),
            SocketAddress::Tcp(Host::Name(name), _) => name.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
            SocketAddress::Unix(_) => true,
        }
    }

    /// Returns whether it is an IPv4 address with this port, which the other family must leave alone.
    pub fn is_ipv4_at(&self, port: u16) -> bool {
        matches!(&self.socket, SocketAddress::Tcp(Host::Ip(IpAddr::V4(_), _), own) if *own == port)
    }

    /// Returns whether both cannot be opened, whatever else runs on the machine.
    pub fn conflicts_with(&self, other: &Self) -> bool {
        let (one, two) = match (&self.socket, &other.socket) {
            (SocketAddress::Unix(one), SocketAddress::Unix(two)) => return one == two,
            (SocketAddress::Tcp(one, port), SocketAddress::Tcp(two, same)) if port == same && *port != 0 => (one, two),
            _ => return false,
        };
        match (one, two) {
            (Host::Any, _) | (_, Host::Any) => true,
            (Host::Name(one), Host::Name(two)) => one.eq_ignore_ascii_case(two),
            // What a name stands for may change.
            (Host::Name(_), Host::Ip(..)) | (Host::Ip(..), Host::Name(_)) => false,
            (Host::Ip(one, zone), Host::Ip(two, other_zone)) => {
                let is_same_family = one.is_ipv4() == two.is_ipv4();
                let is_any = one.is_unspecified() || two.is_unspecified();
                is_same_family && (is_any || (one == two && zone == other_zone))
            }
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
            Some(path) if path.len() > UNIX_PATH_MAX => {
                return Err(AddressError::UnixPath { path: path.to_owned(), len: path.len() });
            }
            Some(path) => SocketAddress::Unix(path.into()),
            None => {
                let (host, port) = rest.rsplit_once(':').ok_or_else(shape)?;
                let is_number = !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit());
                let number = port.parse().ok().filter(|_| is_number);
                let number = number.ok_or_else(|| AddressError::Port { port: port.to_owned() })?;
                SocketAddress::Tcp(host_from(host)?.ok_or_else(shape)?, number)
            }
        };
        Ok(Self { socket, has_proxy_protocol, is_encrypted })
    }
}

/// Reads a host; `None` if it has no shape that a host can have.
fn host_from(text: &str) -> Result<Option<Host>, AddressError> {
    if text.is_empty() {
        return Ok(Some(Host::Any));
    }
    if let Some(inner) = text.strip_prefix('[') {
        let Some(inner) = inner.strip_suffix(']') else { return Ok(None) };
        let (address, zone) = inner.split_once('%').map_or((inner, None), |(address, zone)| (address, Some(zone)));
        let is_zone = |zone: &str| !zone.is_empty() && zone.bytes().all(|one| one.is_ascii_graphic() && one != b'/');
        let address = address.parse::<Ipv6Addr>().ok().filter(|_| zone.is_none_or(is_zone));
        return Ok(address.map(|address| Host::Ip(address.into(), zone.map(str::to_owned))));
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(Some(Host::Ip(address.into(), None)));
    }
    if text.bytes().all(|one| one.is_ascii_digit() || one == b'.') {
        return Err(AddressError::Ipv4 { host: text.to_owned() });
    }
    let is_label = |label: &str| {
        let is_name = |one: char| one.is_alphanumeric() || one == '-' || one == '_';
        (1..=63).contains(&label.len()) && label.chars().all(is_name) && !label.starts_with('-')
    };
    let is_name = text.len() <= 253 && text.strip_suffix('.').unwrap_or(text).split('.').all(is_label);
    Ok(is_name.then(|| Host::Name(text.to_owned())))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proxy = if self.has_proxy_protocol { "proxy+" } else { "" };
        let tls = if self.is_encrypted { "tls+" } else { "" };
        write!(f, "{proxy}{tls}")?;
        match &self.socket {
            SocketAddress::Tcp(host, port) => write!(f, "{host}:{port}"),
            SocketAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => Ok(()),
            Self::Ip(IpAddr::V4(address), _) => write!(f, "{address}"),
            Self::Ip(IpAddr::V6(address), None) => write!(f, "[{address}]"),
            Self::Ip(IpAddr::V6(address), Some(zone)) => write!(f, "[{address}%{zone}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The log prints addresses in a form that can be used as a setting.
    #[test]
    fn every_form_is_read_and_printed_again() {
        for text in [
            "127.0.0.1:8080",
            ":80",
            "0.0.0.0:80",
            "[::1]:443",
            "[fe80::1%eth0]:443",
            "proxy+example.com:0",
            "proxy+:443",
            "tls+:443",
            "proxy+tls+[::]:443",
            "my_host.:1",
            "unix:/run/throng.sock",
            "proxy+unix:a:b",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn text_that_is_not_an_address_is_refused() {
        for text in [
            "",
            "nowhere",
            "host:",
            "host:65536",
            "host:+80",
            "unix:",
            "tls://h:1",
            "tls+proxy+h:1",
            "http://host:80",
            "::1:80",
            "[::1:80",
            "[zz]:80",
            "[::1%]:80",
            "[127.0.0.1]:80",
            "300.0.0.1:80",
            "1.2.3:80",
            "a b:80",
            "*:80",
            "a..b:80",
            "-a:80",
            "host :80",
            "@:80",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
        let long = format!("unix:/{}", "x".repeat(107)).parse::<Address>().unwrap_err().to_string();
        assert!(
            long.starts_with("the path of a Unix socket has at most 107 bytes") && long.ends_with("has 108"),
            "{long}"
        );
    }

    /// Echo, and an internal listener without a key, may be reached from this machine only.
    #[test]
    fn only_loopback_and_unix_sockets_are_local() {
        for local in ["127.0.0.1:0", "127.8.9.1:0", "localhost:1", "LOCALHOST.:1", "[::1]:80", "unix:x"] {
            assert!(local.parse::<Address>().unwrap().is_local(), "{local}");
        }
        for public in [":80", "10.0.0.1:80", "[::]:80", "0.0.0.0:80", "example.com:80", "localhost.example:80"] {
            assert!(!public.parse::<Address>().unwrap().is_local(), "{public}");
        }
    }

    /// What cannot be opened twice is said before anything is opened once.
    #[test]
    fn addresses_that_exclude_each_other_are_found() {
        let conflicts = |one: &str, two: &str| {
            let [one, two] = [one, two].map(|text| text.parse::<Address>().unwrap());
            assert_eq!(one.conflicts_with(&two), two.conflicts_with(&one));
            one.conflicts_with(&two)
        };
        for (one, two) in [
            ("127.0.0.1:80", "tls+127.0.0.1:80"),
            (":80", "127.0.0.1:80"),
            (":80", "[::]:80"),
            ("0.0.0.0:80", "10.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("unix:/a", "proxy+unix:/a"),
            ("host:80", "HOST:80"),
        ] {
            assert!(conflicts(one, two), "{one} {two}");
        }
        for (one, two) in [
            ("127.0.0.1:0", "127.0.0.1:0"),
            (":80", ":81"),
            ("0.0.0.0:80", "[::]:80"),
            ("127.0.0.1:80", "127.0.0.2:80"),
            ("[fe80::1%a]:80", "[fe80::1%b]:80"),
            ("host:80", "127.0.0.1:80"),
            ("unix:/a", "unix:/b"),
        ] {
            assert!(!conflicts(one, two), "{one} {two}");
        }
    }
}
