//! A host as requests, origins and settings name it, in one form, so that equal hosts are equal texts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use thiserror::Error;

/// A host, and a port if one is given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostPort {
    /// In lower case and without the dot at the end of a full name; IPv6 in brackets and in its shortest form.
    pub host: String,
    /// `None` stands for the default port of the scheme.
    pub port: Option<u16>,
}

impl HostPort {
    /// Reads `HOST`, `HOST:PORT` or `[IPV6]:PORT` (RFC 3986 section 3.2), without user information.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, rest) = match text.strip_prefix('[') {
            Some(bracketed) => {
                let (address, rest) = bracketed.split_once(']')?;
                (format!("[{}]", address.parse::<Ipv6Addr>().ok()?), rest)
            }
            None => {
                let (host, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
                (name(host)?, rest)
            }
        };
        let port = match rest.strip_prefix(':') {
            // A colon without a port is the default port.
            Some("") => None,
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok()?),
            Some(_) => return None,
            None if rest.is_empty() => None,
            None => return None,
        };
        Some(Self { host, port })
    }

    /// Returns whether the host is this machine for everyone: RFC 6761 section 6.3, RFC 1122 section 3.2.1.3.
    pub fn is_loopback(&self) -> bool {
        let bare = self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&self.host);
        match bare.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => bare == "localhost" || bare.ends_with(".localhost"),
        }
    }
}

/// Returns a name or an IPv4 address in its one form.
fn name(text: &str) -> Option<String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;=%".contains(&byte);
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.is_empty() || !text.bytes().all(is_allowed) {
        return None;
    }
    Some(text.parse::<Ipv4Addr>().map_or_else(|_| text.to_ascii_lowercase(), |address| address.to_string()))
}

/// One entry of `--allowed-hosts`: a host, or a wildcard for every subdomain of one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostPattern {
    /// The whole host, or what follows the `*.` of a wildcard.
    host: HostPort,
    is_wildcard: bool,
}

impl HostPattern {
    /// Returns whether this entry allows a request for the host. An entry without a port allows every port.
    pub fn allows(&self, requested: &HostPort) -> bool {
        is_match(&self.host.host, self.is_wildcard, &requested.host)
            && self.host.port.is_none_or(|port| requested.port == Some(port))
    }
}

/// Returns whether a host is the pattern, or with a wildcard at least one whole label in front of it.
pub(super) fn is_match(pattern: &str, is_wildcard: bool, host: &str) -> bool {
    if !is_wildcard {
        return host == pattern;
    }
    let labels = host.strip_suffix(pattern).and_then(|labels| labels.strip_suffix('.'));
    labels.is_some_and(|labels| !labels.is_empty() && !labels.ends_with('.'))
}

/// Text that is not a host.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{text} is not a host such as chat.example.com, chat.example.com:8443 or *.example.com")]
pub struct HostError {
    text: String,
}

impl FromStr for HostPattern {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let (plain, is_wildcard) = text.strip_prefix("*.").map_or((text, false), |plain| (plain, true));
        let host = HostPort::parse(plain).filter(|host| !(is_wildcard && host.host.starts_with('[')));
        let host = host.ok_or_else(|| HostError { text: text.to_owned() })?;
        Ok(Self { host, is_wildcard })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(String, Option<u16>)> {
        HostPort::parse(text).map(|parsed| (parsed.host, parsed.port))
    }

    #[test]
    fn equal_hosts_have_one_form() {
        for (text, host, port) in [
            ("Chat.Example.COM", "chat.example.com", None),
            ("chat.example.com.", "chat.example.com", None),
            ("chat.example.com.:80", "chat.example.com", Some(80)),
            ("chat.example.com:", "chat.example.com", None),
            ("127.0.0.1:8080", "127.0.0.1", Some(8080)),
            ("[::1]:8080", "[::1]", Some(8080)),
            ("[0:0:0:0:0:0:0:1]", "[::1]", None),
            ("[2001:DB8::1]", "[2001:db8::1]", None),
        ] {
            assert_eq!(parsed(text), Some((host.to_owned(), port)), "{text}");
        }
    }

    #[test]
    fn text_that_is_no_host_is_refused() {
        for text in
            ["", ".", ":80", "a:b", "a:99999", "a:-1", "user@a", "a/b", "a b", "a,b/", "[::1", "[::1]x", "::1", "[a]"]
        {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for (host, is_loopback) in [
            ("localhost", true),
            ("LOCALHOST.:8080", true),
            ("app.localhost", true),
            ("127.0.0.1", true),
            ("127.9.9.9:1", true),
            ("[::1]:8080", true),
            ("[::ffff:127.0.0.1]", true),
            ("localhost.evil.example", false),
            ("evillocalhost", false),
            ("127.0.0.1.evil.example", false),
            ("10.0.0.1", false),
            ("0.0.0.0", false),
        ] {
            assert_eq!(HostPort::parse(host).map(|host| host.is_loopback()), Some(is_loopback), "{host}");
        }
    }

    #[test]
    fn pattern_allows_its_host_at_its_port_or_at_every_port() {
        let allows =
            |pattern: &str, host: &str| pattern.parse::<HostPattern>().unwrap().allows(&HostPort::parse(host).unwrap());
        assert!(allows("chat.example.com", "CHAT.example.com.:8443"));
        assert!(allows("chat.example.com:8443", "chat.example.com:8443"));
        assert!(allows("*.example.com", "a.b.example.com"));
        assert!(allows("[::1]", "[0::1]:80"));
        for (pattern, host) in [
            ("chat.example.com:8443", "chat.example.com"),
            ("chat.example.com", "x.chat.example.com"),
            ("*.example.com", "example.com"),
            ("*.example.com", "evilexample.com"),
        ] {
            assert!(!allows(pattern, host), "{pattern} allows {host}");
        }
        for text in ["", "*", "*.", "https://example.com", "a/b", "*.*.com", "*.[::1]"] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
    }
}
