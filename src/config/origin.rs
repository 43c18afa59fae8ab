//! Origins of web pages, compared as RFC 6454 section 5 says, and patterns of those that may connect.

use super::host::{HostPort, is_match};
use std::str::FromStr;
use thiserror::Error;

/// The origin of a page, as browsers send it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// `null`: a page without an origin of its own, such as a sandboxed frame or, in most browsers, a file.
    Null,
    /// Scheme, host and port.
    Tuple {
        /// In lower case.
        scheme: String,
        /// `None` for schemes without hosts, as in `file://`; the port is the scheme's default one if none is given.
        host: Option<HostPort>,
    },
}

impl Origin {
    /// Reads `null`, `SCHEME://HOST` or `SCHEME://HOST:PORT`, with or without a `/` at the end.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "null" {
            return Some(Self::Null);
        }
        let (scheme, rest) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if !is_scheme {
            return None;
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let default_port = default_port(&scheme);
        let host = match rest {
            // The web's own schemes always have a host.
            "" if default_port.is_some() => return None,
            "" => None,
            rest => {
                let host = HostPort::parse(rest)?;
                Some(HostPort { port: host.port.or(default_port), ..host })
            }
        };
        Some(Self::Tuple { scheme, host })
    }

    /// Returns whether a web page of this origin was served by the host that its request names, whatever proxy encrypts
    /// in between: the scheme decides the default port only.
    pub fn is_of_host(&self, requested: &HostPort) -> bool {
        let Self::Tuple { scheme, host: Some(host) } = self else { return false };
        let Some(default_port) = default_port(scheme).filter(|_| matches!(scheme.as_str(), "http" | "https")) else {
            return false;
        };
        host.host == requested.host && host.port == Some(requested.port.unwrap_or(default_port))
    }
}

/// Returns the default port of a scheme of the web, WHATWG URL section 4.2.
fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        "ftp" => Some(21),
        _ => None,
    }
}

/// One entry of `--allowed-origins`: an origin, or a wildcard for every subdomain of a host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OriginPattern {
    /// With a wildcard, the host is what follows its `*.`.
    origin: Origin,
    is_wildcard: bool,
}

impl OriginPattern {
    /// Returns whether this entry allows the origin.
    pub fn allows(&self, origin: &Origin) -> bool {
        match (&self.origin, origin) {
            (
                Origin::Tuple { scheme, host: Some(pattern) },
                Origin::Tuple { scheme: other_scheme, host: Some(host) },
            ) => {
                scheme == other_scheme
                    && pattern.port == host.port
                    && is_match(&pattern.host, self.is_wildcard, &host.host)
            }
            (pattern, origin) => pattern == origin,
        }
    }
}

/// Text that is not an origin.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{text} is not an origin such as https://example.com, https://*.example.com, capacitor://localhost or null")]
pub struct OriginError {
    text: String,
}

impl FromStr for OriginPattern {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let is_wildcard = text.contains("://*.");
        // A star cannot be part of a host.
        let plain = text.replacen("://*.", "://", 1);
        let origin = Origin::parse(&plain).filter(|origin| {
            !is_wildcard || matches!(origin, Origin::Tuple { host: Some(host), .. } if !host.host.starts_with('['))
        });
        Ok(Self { origin: origin.ok_or_else(|| OriginError { text: text.to_owned() })?, is_wildcard })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(pattern: &str, origin: &str) -> bool {
        Origin::parse(origin).is_some_and(|origin| pattern.parse::<OriginPattern>().unwrap().allows(&origin))
    }

    /// Phoenix's wildcard matched any suffix: evilexample.com got in.
    #[test]
    fn wildcard_matches_whole_labels_and_exact_entries_only_themselves() {
        assert!(allows("https://*.example.com", "https://chat.example.com"));
        assert!(allows("https://*.example.com", "https://a.b.EXAMPLE.com:443"));
        assert!(allows("https://example.com:8443", "https://example.com:8443"));
        assert!(allows("http://example.com", "http://example.com:80"));
        for (pattern, origin) in [
            ("https://*.example.com", "https://example.com"),
            ("https://*.example.com", "https://evilexample.com"),
            ("https://*.example.com", "https://.example.com"),
            ("https://*.example.com", "https://x.example.com.evil.test"),
            ("https://*.example.com", "http://x.example.com"),
            ("https://*.example.com", "https://x.example.com:444"),
            ("https://example.com", "https://user@example.com"),
            ("https://example.com", "https://www.example.com"),
        ] {
            assert!(!allows(pattern, origin), "{pattern} allows {origin}");
        }
    }

    /// Apps and extensions have schemes of their own; RFC 6454 section 4 has no list of schemes.
    #[test]
    fn any_scheme_and_null_are_allowed_by_name_only() {
        for origin in [
            "capacitor://localhost",
            "ionic://localhost",
            "tauri://localhost",
            "chrome-extension://abcdefghijklmnop",
            "moz-extension://6a1b-42",
            "app://obsidian.md",
            "file://",
            "null",
            "ftp://x",
        ] {
            assert!(allows(origin, origin), "{origin}");
            for other in ["https://localhost", "capacitor://localhost:1", "http://x", "app://localhost"] {
                assert!(!allows(other, origin), "{other} allows {origin}");
            }
        }
        assert!(!allows("https://*.example.com", "null") && !allows("file://", "null") && !allows("null", "file://"));
    }

    #[test]
    fn case_default_ports_and_final_dots_are_no_difference() {
        for origin in ["HTTPS://Example.COM", "https://example.com:443", "https://example.com.", "https://example.com/"]
        {
            assert!(allows("https://example.com", origin) && allows(origin, "https://example.com"), "{origin}");
        }
        assert!(allows("http://[0:0::1]:8080", "http://[::1]:8080"));
    }

    #[test]
    fn text_that_is_not_an_origin_is_refused() {
        for text in [
            "",
            "example.com",
            "https://",
            "https://*",
            "https://*.*.x",
            "https://x/path",
            "https://x?q",
            "Null",
            "://x",
            "1a://x",
            "https://*.[::1]",
            "https:x",
        ] {
            assert!(text.parse::<OriginPattern>().is_err(), "{text}");
        }
    }
}
