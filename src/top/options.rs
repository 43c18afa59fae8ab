//! The options of `throng top`.

use clap::Parser;
use hyper::Uri;
use hyper::header::HeaderValue;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use thiserror::Error;

/// Show a running hub live: its shards, its slowest connections, its busiest channels.
#[derive(Clone, Debug, Parser)]
#[command(name = "throng top", bin_name = "throng top", version, max_term_width = 120)]
#[command(after_help = "Keys: q quits, s sorts connections, c sorts channels, p pauses, arrows scroll, ? shows help. \
                  NO_COLOR is respected.")]
pub struct Options {
    /// URL of the hub for operators: its --internal-addr or, on the same machine, its --addr.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub url: HubUrl,

    /// One of the hub's --admin-keys. Without a key, connections and channels are not shown. Prefer the variable:
    /// arguments are visible in process lists.
    #[arg(long, value_name = "KEY", env = "THRONG_TOP_KEY", hide_env_values = true)]
    key: Option<String>,

    /// Time between two snapshots, from 200ms to 60s. Rates are averages over it.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub interval: Duration,

    /// Print one snapshot as text and exit. The default if standard output is not a terminal.
    #[arg(long)]
    pub once: bool,
}

/// A key that cannot be sent. The error does not repeat it.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error(
    "--key, or THRONG_TOP_KEY, has a character that no header can carry; give one of the hub's --admin-keys as it is"
)]
pub struct UnsendableKey;

impl Options {
    /// Returns the key without the white space that files and shells leave around it; none if it is empty.
    ///
    /// # Errors
    ///
    /// [`UnsendableKey`] if no request could have it.
    pub fn key(&self) -> Result<Option<&str>, UnsendableKey> {
        match self.key.as_deref().map(str::trim).filter(|key| !key.is_empty()) {
            Some(key) if HeaderValue::from_str(key).is_err() => Err(UnsendableKey),
            key => Ok(key),
        }
    }
}

/// Why a text is not the URL of a hub.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum HubUrlError {
    /// It has another scheme, a path, or no host.
    #[error("{0} is not http://HOST:PORT")]
    Malformed(String),
    /// It begins with `https`.
    #[error("this command speaks plain HTTP; give the hub's --internal-addr, or a tunnel to it")]
    Encrypted,
}

/// Host and port of a hub.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HubUrl(String);

impl HubUrl {
    /// Returns `HOST:PORT`.
    pub fn authority(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HubUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

impl FromStr for HubUrl {
    type Err = HubUrlError;

    fn from_str(text: &str) -> Result<Self, HubUrlError> {
        let malformed = || HubUrlError::Malformed(text.to_owned());
        let url = text.parse::<Uri>().map_err(|_| malformed())?;
        match url.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(HubUrlError::Encrypted),
            _ => return Err(malformed()),
        }
        let authority = url.authority().filter(|_| matches!(url.path(), "" | "/") && url.query().is_none());
        let authority = authority.ok_or_else(malformed)?;
        let port = authority.port_u16().unwrap_or(80);
        Ok(Self(format!("{}:{port}", authority.host())))
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let range = Duration::from_millis(200)..=Duration::from_secs(60);
    range.contains(&time).then_some(time).ok_or_else(|| "the interval must be between 200ms and 60s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_a_host_and_a_port() {
        assert_eq!("http://hub".parse::<HubUrl>().unwrap().authority(), "hub:80");
        assert_eq!("http://[::1]:9000/".parse::<HubUrl>().unwrap().authority(), "[::1]:9000");
        for text in ["", "hub:80", "ftp://hub", "http://hub/metrics", "http://hub/?x", "https://hub", "http://"] {
            assert!(text.parse::<HubUrl>().is_err(), "{text}");
        }
    }
}
