//! The log: where lines go and how they look.

use super::flood::Guard;
use crate::config::{LogFormat, Logging};
use std::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

/// What is logged, to be changed while the process runs.
pub(super) struct Level {
    filter: reload::Handle<EnvFilter, Registry>,
    guard: Guard,
}

impl Level {
    /// Reads a level.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<EnvFilter, String> {
        EnvFilter::try_new(text).map_err(|error| format!("log {text:?}: {error}"))
    }

    /// Changes what is logged.
    pub(super) fn set(&self, filter: EnvFilter) {
        // It fails when nothing is logged any more.
        let _ = self.filter.reload(filter);
    }

    /// Returns what has to be run for as long as lines are written: it says which were too many.
    pub(super) fn guard(&self) -> Guard {
        self.guard.clone()
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Level")
    }
}

/// Starts writing to standard error.
///
/// # Errors
///
/// When `--log` is no filter.
pub(super) fn start(logging: &Logging) -> Result<Level, String> {
    let guard = Guard::default();
    let (filter, handle) = reload::Layer::new(Level::parse(&logging.log)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let lines = match logging.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines.with_filter(guard.clone())).init();
    Ok(Level { filter: handle, guard })
}
