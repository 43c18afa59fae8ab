//! A logging: what is written about the hub, in which shape, and where traces go.

use super::ConfigError;
use clap::{Args, ValueEnum};
use hyper::Uri;

/// The part of the configuration that says what is written.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Log")]
pub struct Logging {
    /// What is logged: error, warn, info, debug or trace, also by module, as in throng::hub=debug,info.
    #[arg(long, env = "THRONG_LOG", default_value = "info", value_name = "LEVEL")]
    pub log: String,

    /// How a line of the log looks: text for people, json for programs.
    #[arg(long, env = "THRONG_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub log_format: LogFormat,

    /// Collector that gets a trace of every request to /admin/..., by OTLP over HTTP, as in http://127.0.0.1:4318. A
    /// request that names its own trace (traceparent) becomes a part of that. Needs a build with the feature otel.
    #[arg(long, env = "THRONG_OTLP_ENDPOINT", value_name = "URL", value_parser = endpoint)]
    pub otlp_endpoint: Option<String>,
}

impl Logging {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match &self.otlp_endpoint {
            Some(_) if !cfg!(feature = "otel") => Err(ConfigError::NoTraces),
            Some(_) | None => Ok(()),
        }
    }
}

/// Reads where traces go; the path is the standard's, unless another one is given.
fn endpoint(text: &str) -> Result<String, String> {
    let shape = || format!("{text} is not a URL such as http://127.0.0.1:4318");
    let url = text.parse::<Uri>().map_err(|_| shape())?;
    if url.scheme_str() != Some("http") || url.authority().is_none() {
        return Err(shape());
    }
    Ok(if url.path() == "/" { format!("{}/v1/traces", text.trim_end_matches('/')) } else { text.to_owned() })
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one object per line.
    Json,
}
