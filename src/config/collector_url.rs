//! A collector URL: where traces are sent.

use hyper::Uri;
use std::str::FromStr;
use thiserror::Error;

/// URL of an OTLP collector, with its path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CollectorUrl(String);

/// Text that is not the URL of a collector.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{text} is not a URL such as http://127.0.0.1:4318")]
pub struct CollectorUrlError {
    text: String,
}

impl CollectorUrl {
    /// Returns the URL as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CollectorUrl {
    type Err = CollectorUrlError;

    /// Reads a URL. Without a path it gets the one of the OTLP standard.
    fn from_str(text: &str) -> Result<Self, CollectorUrlError> {
        let refusal = || CollectorUrlError { text: text.to_owned() };
        let url = text.parse::<Uri>().map_err(|_| refusal())?;
        if url.scheme_str() != Some("http") || url.authority().is_none() {
            return Err(refusal());
        }
        let is_bare = url.path() == "/";
        Ok(Self(if is_bare { format!("{}/v1/traces", text.trim_end_matches('/')) } else { text.to_owned() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_without_a_path_gets_the_standard_one() {
        for (text, url) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
            ("http://collector/other", "http://collector/other"),
        ] {
            assert_eq!(text.parse::<CollectorUrl>().unwrap().as_str(), url);
        }
        for text in ["127.0.0.1:4318", "https://x", "http://", ""] {
            assert!(text.parse::<CollectorUrl>().is_err(), "{text}");
        }
    }
}
