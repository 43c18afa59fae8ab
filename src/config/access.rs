//! An access: who may come, who is believed, and who is spared.

use clap::Args;
use hyper::Uri;
use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use thiserror::Error;

/// The part of the configuration that says who may come.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Access")]
pub struct Access {
    /// Pages that browsers may connect from, besides this very host: `https://example.com`,
    /// `https://example.com:8443`, or `https://*.example.com` for any number of whole labels. A page of another origin
    /// gets 403; programs send none.
    #[arg(long, env = "THRONG_ALLOWED_ORIGINS", value_delimiter = ',', value_name = "ORIGIN,...")]
    pub allowed_origins: Vec<OriginPattern>,

    /// Balancers, as addresses or networks, whose X-Forwarded-For, Forwarded and PROXY headers are believed. From
    /// anybody else the first two are ignored and the third ends the connection.
    #[arg(long, env = "THRONG_TRUSTED_PROXIES", value_delimiter = ',', value_name = "CIDR,...", value_parser = network)]
    pub trusted_proxies: Vec<IpNet>,

    /// Clients, as addresses or networks, that limits per address and limits on rates do not concern. Loopback, so that
    /// a local load test measures the hub and not its guard; a balancer on this machine belongs in --trusted-proxies,
    /// or all that it brings are exempt.
    #[arg(
        long,
        env = "THRONG_LIMITS_EXEMPT",
        value_delimiter = ',',
        default_value = "127.0.0.0/8,::1/128",
        value_name = "CIDR,...",
        value_parser = network,
    )]
    pub limits_exempt: Vec<IpNet>,

    /// Keys, any of which opens /admin/... as X-API-Key or bearer token; several, so that one can be replaced. Without
    /// a key there is no /admin. At least 16 characters each; better in a file or a variable than in a process list.
    #[arg(long, env = "THRONG_ADMIN_KEYS", value_delimiter = ',', hide_env_values = true, value_name = "KEY,...")]
    pub admin_keys: Vec<Key>,
}

/// A secret that opens what operators see. Never printed.
#[derive(Clone, Eq, PartialEq)]
pub struct Key(String);

/// Shortest key: shorter ones can be guessed.
const KEY_CHARACTERS_MIN: usize = 16;

impl Key {
    /// Returns the secret itself.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl FromStr for Key {
    type Err = AccessError;

    fn from_str(text: &str) -> Result<Self, AccessError> {
        let characters = text.chars().count();
        if characters < KEY_CHARACTERS_MIN {
            return Err(AccessError::ShortKey { characters });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Text that names no origin, network or key.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum AccessError {
    /// A key that can be guessed. It is not repeated.
    #[error("a key of {characters} characters can be guessed; give at least {KEY_CHARACTERS_MIN}")]
    ShortKey {
        /// How many it has.
        characters: usize,
    },
    /// Neither an address nor a network.
    #[error("{text} is neither an address nor a network such as 10.0.0.0/8")]
    Network {
        /// As given.
        text: String,
    },
    /// Not scheme, host and port.
    #[error("{text} is not an origin such as https://example.com or https://*.example.com")]
    Origin {
        /// As given.
        text: String,
    },
}

/// Reads a network, or one address as a network of its own.
fn network(text: &str) -> Result<IpNet, AccessError> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| AccessError::Network { text: text.to_owned() })
}

/// The origins that one entry allows: one, or every host whose name ends in whole labels.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OriginPattern {
    scheme: String,
    /// What follows `*` in a wildcard, with its dot; else the whole host.
    host: String,
    is_wildcard: bool,
    port: u16,
}

impl OriginPattern {
    /// Returns whether this entry allows the origin.
    pub fn allows(&self, origin: &Uri) -> bool {
        let Some(parts) = parts(origin) else { return false };
        let (scheme, host, port) = parts;
        // Of a wildcard's host at least one label is its own.
        let is_host = match self.is_wildcard {
            true => host.strip_suffix(&self.host).is_some_and(|labels| !labels.is_empty() && !labels.ends_with('.')),
            false => host == self.host,
        };
        is_host && scheme == self.scheme && port == self.port
    }
}

/// Returns scheme, host and port of an origin, in lower case and with the scheme's own port where it names none.
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
    type Err = AccessError;

    fn from_str(text: &str) -> Result<Self, AccessError> {
        let refusal = || AccessError::Origin { text: text.to_owned() };
        let is_wildcard = text.contains("://*.");
        // The star is no character of a host.
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
    fn what_is_no_origin_network_or_key_is_refused_and_a_key_is_not_repeated() {
        for text in ["example.com", "https://", "https://*", "https://*.*.x", "ftp://x", "https://x/path", "null"] {
            assert!(text.parse::<OriginPattern>().is_err(), "{text}");
        }
        for text in ["", "10.0.0.0/33", "host", "10.0.0"] {
            assert!(network(text).is_err(), "{text}");
        }
        assert_eq!(network("10.1.2.3").unwrap().to_string(), "10.1.2.3/32");
        let error = "hunter2".parse::<Key>().unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
        assert!(!format!("{:?}", "0123456789abcdef".parse::<Key>().unwrap()).contains("0123"));
    }
}
