//! The log: which lines are written, in which format, and where traces go.

use super::collector_url::CollectorUrl;
use super::error::ConfigError;
use super::log_filter::LogFilter;
use super::section::section;
use super::setting::DefaultValue::Unset;
use super::setting::Kind::{Choice, Text};
use super::setting::text;
use super::value::choice;

section! {
    /// What is logged to standard error, and where traces go.
    pub struct LogConfig in "log" (Once) {
        /// Level of the log: error, warn, info, debug or trace, also per module as in `throng::hub=debug,info`.
        log: LogFilter = Text("log filter"), text("info"), AtOnce;

        /// Format of a line of the log: text for people, json for programs.
        log_format: LogFormat = Choice(LogFormat::WORDS), text("text"), Restart;

        /// URL of an OTLP collector (HTTP) that gets a trace of every request to /admin/..., as in
        /// `http://127.0.0.1:4318`.
        ///
        /// A request with a traceparent header becomes part of that trace. Needs a build with the cargo feature otel.
        otlp_endpoint: Option<CollectorUrl> = Text("URL"), Unset, Restart;
    }
}

choice! {
    /// Format of a line of the log.
    pub enum LogFormat {
        /// For people.
        Text = "text",
        /// For programs: one object per line.
        Json = "json",
    }
}

impl LogConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match &self.otlp_endpoint {
            Some(_) if !cfg!(feature = "otel") => Err(ConfigError::NoTraces),
            Some(_) | None => Ok(()),
        }
    }
}
