//! Why there is no configuration: the command line, a variable, the file, or settings that do not fit each other.

use super::error::ConfigError;
use super::file::Problem;
use super::section::{Schema, single_settings};
use super::setting::Setting;
use super::tables::FileContents;
use thiserror::Error;

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The command line is wrong, or asks for help.
    #[error(transparent)]
    Usage(clap::Error),
    /// Variables or the file are wrong.
    #[error("{}", .0.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
    /// A setting is out of range, or settings do not fit each other.
    #[error("{error}{places}")]
    Invalid {
        /// Which, and what to do.
        error: ConfigError,
        /// The variables and lines of the file that set them.
        places: String,
    },
}

impl LoadError {
    pub(super) fn invalid(
        error: ConfigError,
        schema: Schema,
        contents: &FileContents,
        place: impl Fn(&Setting) -> Option<String>,
    ) -> Self {
        let line = error.table_key().and_then(|at| contents.line(at));
        let places = match line {
            Some(line) => format!(" (in line {line})"),
            None => places(&error.to_string(), schema, place),
        };
        Self::Invalid { error, places }
    }
}

/// Says where the settings come from that an error names by their flags: ` (shards from THRONG_SHARDS)`.
pub(super) fn places(error: &str, schema: Schema, place: impl Fn(&Setting) -> Option<String>) -> String {
    let is_named = |setting: &Setting| {
        let flag = format!("--{}", setting.flag());
        error.split([' ', ';', ':', ',']).any(|word| word == flag)
    };
    let settings = single_settings(schema).map(|(_, setting)| setting);
    let named = settings.filter(|setting| is_named(setting));
    let named: Vec<_> = named.filter_map(|one| Some(format!("{} {}", one.key, place(one)?))).collect();
    if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) }
}
