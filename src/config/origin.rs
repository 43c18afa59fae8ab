//! An origin pattern: which web pages may connect, as scheme, host and port.

use hyper::Uri;
use std::str::FromStr;
use thiserror::Error;

/// One entry of `--allowed-origins`: an origin, or a wildcard for every subdomain of a host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OriginPattern {
    scheme: String,
    /// Part after the `*` of a wildcard, with its dot; otherwise the whole host.
    host: String,
    is_wildcard: bool,
    port: u16,
}

impl OriginPattern {
    /// Returns whether this entry allows the origin.
    pub fn allows(&self, origin: &Uri) -> bool {
        let Some(parts) = parts(origin) else { return false };
        let (scheme, host, port) = parts;
        // A wildcard stands for at least one whole label.
        let is_host = match self.is_wildcard {
            true => host.strip_suffix(&self.host).is_some_and(|labels| !labels.is_empty() && !labels.ends_with('.')),
            false => host == self.host,
        };
        is_host && scheme == self.scheme && port == self.port
    }
}

/// Text that is not an origin.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{text} is not an origin such as https://example.com or https://*.example.com")]
pub struct OriginError {
    text: String,
}

/// Returns scheme, host and port of an origin, in lower case, with the scheme's default port if none is given.
fn parts(origin: &Uri) -> Option<(String, String, u16)> {
    let scheme = origin.scheme_str()?.to_ascii_lowercase();
    let standard = match scheme.as_str() {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let is_bare = matches!(origin.path(), "" | "/") && origin.query().is_none();
    let authority = origin.authority().filter(|authority| is_bare && !authority.as_str().contains('@'))?;
    let port = match authority.port() {
        Some(port) => port.as_str().parse().ok()?,
        None => standard,
    };
    Some((scheme, authority.host().to_ascii_lowercase(), port))
}

impl FromStr for OriginPattern {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let refusal = || OriginError { text: text.to_owned() };
        let is_wildcard = text.contains("://*.");
        // A star cannot be part of a host.
        let plain = text.replacen("://*.", "://", 1);
        if plain.contains('*') {
            return Err(refusal());
        }
        let origin = plain.parse::<Uri>().map_err(|_| refusal())?;
        let (scheme, host, port) = parts(&origin).ok_or_else(refusal)?;
        let host = if is_wildcard { format!(".{host}") } else { host };
        Ok(Self { scheme, host, is_wildcard, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(pattern: &str, origin: &str) -> bool {
        pattern.parse::<OriginPattern>().unwrap().allows(&origin.parse().unwrap())
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

    #[test]
    fn text_that_is_not_an_origin_is_refused() {
        for text in ["example.com", "https://", "https://*", "https://*.*.x", "ftp://x", "https://x/path", "null"] {
            assert!(text.parse::<OriginPattern>().is_err(), "{text}");
        }
    }
}
