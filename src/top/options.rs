//! The options of `throng top`.

use clap::Parser;
use hyper::Uri;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Shows a running hub, live: shards side by side, the slowest connections, the busiest channels.
#[derive(Clone, Debug, Parser)]
#[command(name = "throng top", version, max_term_width = 120)]
#[command(after_help = "Keys: q ends, s sorts connections, p pauses, arrows scroll, ? helps. NO_COLOR is respected.")]
pub struct Options {
    /// Where the hub answers operators: its --internal-addr, or, from its own machine, its --addr.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub url: Place,

    /// One of the hub's --admin-keys. Without it there are neither connections nor channels to see. Better in the
    /// variable than in a process list.
    #[arg(long, value_name = "KEY", env = "THRONG_TOP_KEY", hide_env_values = true)]
    pub key: Option<String>,

    /// Time between two looks, 200ms to 60s; rates are counted over it.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub interval: Duration,

    /// Print one look as text and end. So it is, too, when standard output is no terminal.
    #[arg(long)]
    pub once: bool,
}

/// Host and port of a hub.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place(String);

impl Place {
    /// Returns it as `HOST:PORT`.
    pub fn authority(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shape = || format!("{text} is not http://HOST:PORT");
        let url = text.parse::<Uri>().map_err(|_| shape())?;
        match url.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err("this view speaks plain HTTP; give the hub's --internal-addr, or a tunnel to it".to_owned());
            }
            _ => return Err(shape()),
        }
        let authority = url.authority().filter(|_| matches!(url.path(), "" | "/") && url.query().is_none());
        let authority = authority.ok_or_else(shape)?;
        let port = authority.port_u16().unwrap_or(80);
        Ok(Self(format!("{}:{port}", authority.host())))
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let range = Duration::from_millis(200)..=Duration::from_secs(60);
    range.contains(&time).then_some(time).ok_or_else(|| "it is not between 200ms and 60s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_a_host_and_a_port() {
        assert_eq!("http://hub".parse::<Place>().unwrap().authority(), "hub:80");
        assert_eq!("http://[::1]:9000/".parse::<Place>().unwrap().authority(), "[::1]:9000");
        for text in ["", "hub:80", "ftp://hub", "http://hub/metrics", "http://hub/?x", "https://hub", "http://"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
