//! Why there is no configuration: the command line, the file, or settings that do not fit each other.

use super::error::ConfigError;
use super::file::{Entry, Problem};
use thiserror::Error;

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The command line or a variable is wrong, or asks for help.
    #[error(transparent)]
    Usage(clap::Error),
    /// The file is wrong.
    #[error("{}", .0.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))]
    File(Vec<Problem>),
    /// A setting is out of range, or settings do not fit each other.
    #[error("{error}{lines}")]
    Invalid {
        /// Which, and what to do.
        error: ConfigError,
        /// The lines of the file that set them.
        lines: String,
    },
}

impl LoadError {
    pub(super) fn invalid(error: ConfigError, entries: &[Entry]) -> Self {
        let lines = lines(&error.to_string(), entries);
        Self::Invalid { error, lines }
    }
}

/// Says in which lines a file has the settings that an error names by their flags.
fn lines(error: &str, entries: &[Entry]) -> String {
    let is_named = |entry: &&Entry| {
        let flag = format!("--{}", entry.key.replace('_', "-"));
        error.split([' ', ';', ':', ',']).any(|word| word == flag)
    };
    let named: Vec<_> =
        entries.iter().filter(is_named).map(|entry| format!("{} in line {}", entry.key, entry.line)).collect();
    if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) }
}
