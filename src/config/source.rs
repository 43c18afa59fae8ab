//! The sources of a configuration: a file, the environment, the command line, in order of increasing strength.
//!
//! They are kept, so that a reload reads them again: the same file, the variables and flags of the start.

use super::file::{self, Entry, Problem};
use super::{Config, ConfigError};
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use std::ffi::OsString;
use std::path::PathBuf;
use thiserror::Error;

/// What every variable of ours begins with.
const PREFIX: &str = "THRONG_";

/// Variables that are no settings of the hub: the key of `throng top`.
const OTHER_VARIABLES: [&str; 1] = ["THRONG_TOP_KEY"];

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The command line or a variable; or a request for help.
    #[error(transparent)]
    Usage(clap::Error),
    /// The file.
    #[error("{}", .0.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))]
    File(Vec<Problem>),
    /// Settings that do not fit each other.
    #[error("{error}{places}")]
    Unfit {
        /// Which, and what to do.
        error: ConfigError,
        /// Where the file sets them.
        places: String,
    },
}

/// Where settings come from, to be read again at any time.
#[derive(Clone, Debug)]
pub struct Sources {
    arguments: Vec<OsString>,
    cores: usize,
    descriptors: u64,
}

/// A configuration, and where it comes from.
#[derive(Debug)]
pub struct Loaded {
    /// Complete and checked.
    pub config: Config,
    /// Every setting as it was given, in the order of `--help`.
    pub values: Vec<Value>,
    /// The file, if there is one.
    pub path: Option<PathBuf>,
}

/// One setting as it was given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Value {
    /// Its key.
    pub key: String,
    /// Its text; that of a secret only says that there is one.
    pub text: String,
    /// What stands there by default.
    pub is_default: bool,
    /// Who decided it.
    pub origin: String,
}

impl Sources {
    /// Returns the sources of a process: its arguments, program name first, and what its defaults depend on.
    pub fn new(arguments: Vec<OsString>, cores: usize, descriptors: u64) -> Self {
        Self { arguments, cores, descriptors }
    }

    /// Reads all of them.
    ///
    /// # Errors
    ///
    /// [`LoadError`] says what is wrong, of a file everything, with its lines.
    pub fn load(&self) -> Result<Loaded, LoadError> {
        let first = Config::command().try_get_matches_from(&self.arguments).map_err(LoadError::Usage)?;
        let path = first.get_one::<PathBuf>("config").cloned();
        let entries = path.as_deref().map_or(Ok(Vec::new()), file::read).map_err(LoadError::File)?;
        let command = file::with_defaults(Config::command(), &entries);
        let matches = command.try_get_matches_from(&self.arguments).map_err(LoadError::Usage)?;
        let config = Config::from_arg_matches(&matches).map_err(LoadError::Usage)?;
        let unfit = |error: ConfigError| {
            let places = places(&error.to_string(), &entries);
            LoadError::Unfit { error, places }
        };
        let config = config.complete(self.cores, self.descriptors).map_err(unfit)?;
        let values = values(&matches, &entries, path.as_deref());
        Ok(Loaded { config, values, path })
    }
}

/// Says at which lines the file sets what an error speaks of.
fn places(error: &str, entries: &[Entry]) -> String {
    let is_named = |entry: &&Entry| {
        let flag = format!("--{}", entry.id.replace('_', "-"));
        error.split([' ', ';', ':', ',']).any(|word| word == flag)
    };
    let named: Vec<_> =
        entries.iter().filter(is_named).map(|entry| format!("{} in line {}", entry.id, entry.line)).collect();
    if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) }
}

fn values(matches: &ArgMatches, entries: &[Entry], path: Option<&std::path::Path>) -> Vec<Value> {
    let command = Config::command();
    let value = |arg: &clap::Arg| {
        let key = arg.get_id().to_string();
        let entry = entries.iter().find(|entry| entry.id == key);
        let origin = match (matches.value_source(&key), entry, path) {
            (Some(ValueSource::CommandLine), ..) => format!("--{}", arg.get_long().unwrap_or_default()),
            (Some(ValueSource::EnvVariable), ..) => format!("{PREFIX}{}", key.to_uppercase()),
            (_, Some(entry), Some(path)) => format!("{}:{}", path.display(), entry.line),
            _ => "default".to_owned(),
        };
        let raw = matches.get_raw(&key).into_iter().flatten();
        let text = raw.map(|text| text.to_string_lossy().into_owned()).collect::<Vec<_>>().join(",");
        let text = if arg.is_hide_env_values_set() && !text.is_empty() { "(secret)".to_owned() } else { text };
        Value { key, text, is_default: origin == "default", origin }
    };
    file::settings(&command).map(value).collect()
}

/// Returns a complaint for every variable that looks like ours and is none: a mistyped one would be silently ignored.
pub fn unknown_variables<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let command = Config::command();
    let variables = command.get_arguments().filter_map(|arg| arg.get_env()?.to_str());
    let known: Vec<_> = variables.chain(OTHER_VARIABLES).map(str::to_owned).collect();
    let unknown = names.filter(|name| name.starts_with(PREFIX) && !known.iter().any(|known| known == name));
    unknown
        .map(|name| format!("the variable {name} is no setting{}", file::advice(name, known.iter().cloned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistyped_variable_is_said_with_what_was_meant() {
        let said = unknown_variables(["THRONG_SHARD", "THRONG_ADDR", "THRONG_TOP_KEY", "PATH"].into_iter());
        assert_eq!(said, ["the variable THRONG_SHARD is no setting; did you mean THRONG_SHARDS?"]);
    }
}
