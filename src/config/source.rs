//! The sources of a configuration: a file, the environment, the command line. Later ones override earlier ones.
//!
//! They are kept, so that a reload reads them again: the same file, with the variables and flags of the start.

use super::command::{self, CONFIG};
use super::error::ConfigError;
use super::file::{self, Entry};
use super::load_error::LoadError;
use super::root::Config;
use super::section::single_settings;
use super::setting::{Kind, Setting};
use clap::ArgMatches;
use clap::parser::ValueSource;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Prefix of all our variables.
const PREFIX: &str = "THRONG_";

/// Variables that are not settings of the hub: its file, and the key of `throng top`.
const OTHER_VARIABLES: [&str; 2] = ["THRONG_CONFIG", "THRONG_TOP_KEY"];

/// The sources of a configuration, which can be read again at any time.
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
    /// Key of the setting.
    pub key: &'static str,
    /// Text of the value; for a secret only that there is one.
    pub text: String,
    /// Nothing but the default was given.
    pub is_default: bool,
    /// File and line, variable or flag.
    pub origin: String,
}

impl Sources {
    /// Returns the sources of a process: its arguments, program name first, and what defaults depend on.
    pub fn new(arguments: Vec<OsString>, cores: usize, descriptors: u64) -> Self {
        Self { arguments, cores, descriptors }
    }

    /// Reads all of them.
    ///
    /// # Errors
    ///
    /// [`LoadError`] says what is wrong; for a file everything, with its lines.
    pub fn load(&self) -> Result<Loaded, LoadError> {
        let first = Config::command().try_get_matches_from(&self.arguments).map_err(LoadError::Usage)?;
        let path = first.get_one::<PathBuf>(CONFIG).cloned();
        let entries = match &path {
            Some(path) => file::read(Config::SCHEMA, path).map_err(LoadError::File)?,
            None => Vec::new(),
        };
        // The values of the file become the defaults of their flags: this gives the order of the sources.
        let command = command::with_file(Config::command(), &entries);
        let matches = command.try_get_matches_from(&self.arguments).map_err(LoadError::Usage)?;
        let config = Config::read(&|setting| texts(&matches, setting)).map_err(ConfigError::from);
        let config = config.and_then(|config| config.complete(self.cores, self.descriptors));
        let config = config.map_err(|error| LoadError::invalid(error, &entries))?;
        let values = values(&matches, &entries, path.as_deref());
        Ok(Loaded { config, values, path })
    }
}

fn texts(matches: &ArgMatches, setting: &Setting) -> Vec<String> {
    let raw = matches.get_raw(setting.key).into_iter().flatten();
    raw.map(|text| text.to_string_lossy().into_owned()).collect()
}

fn values(matches: &ArgMatches, entries: &[Entry], path: Option<&Path>) -> Vec<Value> {
    let value = |setting: &'static Setting| {
        let entry = entries.iter().find(|entry| entry.key == setting.key);
        let origin = match (matches.value_source(setting.key), entry, path) {
            (Some(ValueSource::CommandLine), ..) => format!("--{}", setting.flag()),
            (Some(ValueSource::EnvVariable), ..) => setting.variable(),
            (_, Some(entry), Some(path)) => format!("{}:{}", path.display(), entry.line),
            _ => "default".to_owned(),
        };
        let text = texts(matches, setting).join(",");
        let is_secret = matches!(setting.kind, Kind::Secrets(_)) && !text.is_empty();
        let text = if is_secret { "(secret)".to_owned() } else { text };
        Value { key: setting.key, text, is_default: origin == "default", origin }
    };
    single_settings(Config::SCHEMA).map(|(_, setting)| value(setting)).collect()
}

/// Returns a complaint about every variable that has our prefix and is not a setting: a misspelt one would be ignored.
pub fn unknown_variables<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let settings = single_settings(Config::SCHEMA).map(|(_, setting)| setting.variable());
    let known: Vec<_> = settings.chain(OTHER_VARIABLES.map(str::to_owned)).collect();
    let unknown = names.filter(|name| name.starts_with(PREFIX) && !known.iter().any(|known| known == name));
    unknown
        .map(|name| format!("the variable {name} is not a setting{}", file::suggestion(name, known.iter().cloned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_variable_is_reported_with_a_suggestion() {
        let said = unknown_variables(["THRONG_SHARD", "THRONG_ADDR", "THRONG_TOP_KEY", "PATH"].into_iter());
        assert_eq!(said, ["the variable THRONG_SHARD is not a setting; did you mean THRONG_SHARDS?"]);
    }
}
