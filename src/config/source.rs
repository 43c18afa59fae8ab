//! The sources of a configuration: a file, the environment, the command line. Later ones override earlier ones.
//!
//! They are kept, so that a reload reads them again: the same file, with the variables and flags of the start.

use super::command::{self, CONFIG};
use super::error::ConfigError;
use super::file;
use super::load_error::{LoadError, places};
use super::root::{Config, place};
use super::section::single_settings;
use super::setting::{Kind, Setting};
use super::tables::{FileContents, Given, Table, TableValue, find, shown};
use super::variables::{self, Variables};
use clap::ArgMatches;
use clap::parser::ValueSource;
use std::ffi::OsString;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

/// The sources of a configuration, which can be read again at any time.
#[derive(Clone, Debug)]
pub struct Sources {
    arguments: Vec<OsString>,
    variables: Variables,
    usage: &'static str,
    cores: usize,
    descriptors: u64,
    /// Makes the fingerprints of secrets comparable between two loads, and worthless outside the process.
    hasher: RandomState,
}

/// A configuration, and where it comes from.
#[derive(Debug)]
pub struct Loaded {
    /// Complete and checked.
    pub config: Config,
    /// Every setting as it was given, in the order of `--help`.
    pub values: Vec<Value>,
    /// The tables of lists, in the order of the file.
    pub tables: Vec<TableValue>,
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
    /// Tells a secret from another one; 0 for what is no secret.
    pub fingerprint: u64,
    /// Nothing but the default was given.
    pub is_default: bool,
    /// File and line, variable or flag.
    pub origin: String,
}

/// What was given, by source.
struct GivenBySource<'a> {
    flags: &'a ArgMatches,
    variables: &'a Variables,
    file: &'a FileContents,
    path: Option<&'a Path>,
    hasher: &'a RandomState,
}

impl Sources {
    /// Returns the sources of a process: its arguments, program name first, its variables, and what defaults depend on.
    pub fn new(arguments: Vec<OsString>, variables: Vec<(OsString, OsString)>, cores: usize, descriptors: u64) -> Self {
        let (variables, hasher) = (Variables::new(variables), RandomState::new());
        Self { arguments, variables, usage: command::USAGE, cores, descriptors, hasher }
    }

    /// Returns the same sources for a command whose help begins with another usage line.
    #[must_use]
    pub fn with_usage(self, usage: &'static str) -> Self {
        Self { usage, ..self }
    }

    /// Reads all of them.
    ///
    /// # Errors
    ///
    /// [`LoadError`] says what is wrong; for variables and the file everything, with names and lines.
    pub fn load(&self) -> Result<Loaded, LoadError> {
        let flags = command::parser(self.usage).try_get_matches_from(&self.arguments).map_err(LoadError::Usage)?;
        let path = flags.get_one::<PathBuf>(CONFIG).cloned();
        let path = path.or_else(|| self.variables.text(variables::CONFIG).map(PathBuf::from));
        let mut problems = Vec::new();
        let contents = match &path {
            Some(path) => file::read(Config::SCHEMA, path).unwrap_or_else(|found| {
                problems = found;
                FileContents::default()
            }),
            None => FileContents::default(),
        };
        problems.extend(self.variables.problems());
        if !problems.is_empty() {
            return Err(LoadError::Problems(problems));
        }
        let (file, Self { variables, hasher, .. }) = (&contents, self);
        let given = GivenBySource { flags: &flags, variables, file, path: path.as_deref(), hasher };
        let config = Config::read(&given).map_err(ConfigError::from);
        let config = config.and_then(|config| config.complete(self.cores, self.descriptors));
        let config = config.map_err(|error| LoadError::invalid(error, Config::SCHEMA, file, |one| given.place(one)))?;
        let values = single_settings(Config::SCHEMA).map(|(_, setting)| given.value(setting)).collect();
        Ok(Loaded { config, values, tables: TableValue::of_file(file), path })
    }

    /// Returns a complaint about each variable that has our prefix and is neither a setting nor set by the
    /// surroundings.
    pub fn complaints(&self) -> Vec<String> {
        self.variables.complaints()
    }
}

impl Given for GivenBySource<'_> {
    /// From the last source that has it.
    fn texts(&self, setting: &Setting) -> Vec<String> {
        let texts = self.flag(setting).or_else(|| self.variables.items(setting));
        texts.unwrap_or_else(|| self.file.texts(setting))
    }

    fn tables(&self, section: &str) -> Vec<&Table> {
        self.file.tables(section)
    }
}

impl GivenBySource<'_> {
    /// Returns the texts of a flag. An empty one counts as not given, as scripts pass a variable that is not set.
    fn flag(&self, setting: &Setting) -> Option<Vec<String>> {
        let is_given = self.flags.value_source(setting.key) == Some(ValueSource::CommandLine);
        let raw = self.flags.get_raw(setting.key).filter(|_| is_given)?;
        let items = raw.flat_map(|text| setting.items(&text.to_string_lossy()));
        Some(items.filter(|item| !item.is_empty()).collect::<Vec<_>>()).filter(|items| !items.is_empty())
    }

    /// Says where a setting comes from, unless it is a flag, which an error names anyway, or the default.
    fn place(&self, setting: &Setting) -> Option<String> {
        if self.flag(setting).is_some() {
            return None;
        }
        if self.variables.items(setting).is_some() {
            return Some(format!("from {}", setting.variable()));
        }
        place(&self.file.entries, setting)
    }

    fn value(&self, setting: &'static Setting) -> Value {
        let entry = find(&self.file.entries, setting);
        let origin = if self.flag(setting).is_some() {
            format!("--{}", setting.flag())
        } else if self.variables.items(setting).is_some() {
            setting.variable()
        } else {
            match (entry, self.path) {
                (Some(entry), Some(path)) => format!("{}:{}", path.display(), entry.line),
                _ => "default".to_owned(),
            }
        };
        let texts = self.texts(setting);
        let fingerprint = if let Kind::Secrets(_) = setting.kind { self.hasher.hash_one(&texts) } else { 0 };
        let text = shown(setting, &texts);
        Value { key: setting.key, text, fingerprint, is_default: origin == "default", origin }
    }
}

impl Loaded {
    /// Says where the settings come from that an error names by their flags: ` (addr in line 2)`; nothing for flags and
    /// defaults.
    pub fn places(&self, error: &str) -> String {
        places(error, Config::SCHEMA, |setting| {
            let value = self.values.iter().find(|value| value.key == setting.key)?;
            let is_flag = value.origin.starts_with("--");
            (!value.is_default && !is_flag).then(|| format!("from {}", value.origin))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Loaded, LoadError> {
        let arguments = ["throng"].iter().chain(arguments).map(OsString::from).collect();
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        Sources::new(arguments, variables, 1, 10_000).load()
    }

    /// Compose files make an empty variable of one that is not set, scripts an empty flag.
    #[test]
    fn empty_variable_or_flag_counts_as_not_given() {
        let variables = Config::command();
        let variables = variables.get_arguments().filter_map(|argument| argument.get_env()?.to_str());
        let empty: Vec<_> = variables.map(|name| (name, "")).collect();
        let loaded = load(&[], &empty).unwrap();
        assert!(loaded.values.iter().all(|value| value.is_default));
        let loaded = load(&["--internal-addr", "", "--shards="], &[("THRONG_SHARDS", " 3\r\n")]).unwrap();
        assert_eq!((loaded.config.shards(), loaded.config.internal_addr), (3, None));
    }

    /// White space around items and values is what people and editors leave behind.
    #[test]
    fn white_space_around_values_and_items_is_no_part_of_them() {
        let variables = [
            ("THRONG_ADMIN_KEYS", "0123456789abcdef, fedcba9876543210\n"),
            ("THRONG_TRUSTED_PROXIES", " 10.0.0.0/8 , 192.168.0.0/16,"),
            ("THRONG_ECHO", "1 "),
            ("THRONG_SLOW_CONSUMER", "skip\r"),
        ];
        let arguments = [
            "--addr",
            " 127.0.0.1:0 , [::1]:0 ",
            "--ping-interval",
            " 9s ",
            "--outbox-bytes-max",
            "2 MiB",
            "--metrics",
            " public\n",
        ];
        let loaded = load(&arguments, &variables).unwrap();
        let config = &loaded.config;
        let keys: Vec<_> = config.access.admin_keys.iter().map(|key| key.secret()).collect();
        assert_eq!(keys, ["0123456789abcdef", "fedcba9876543210"]);
        assert_eq!((config.access.trusted_proxies.len(), config.addr.len()), (2, 2));
        assert!(config.echo);
        assert_eq!(config.limits.slow_consumer, crate::config::SlowConsumer::Skip);
        assert_eq!(config.access.metrics, crate::config::MetricsAccess::Public);
        assert_eq!(config.limits.outbox_bytes_max, 2 << 20);
        let shown = |key: &str| loaded.values.iter().find(|value| value.key == key).map(|value| value.text.clone());
        assert_eq!(shown("admin_keys").as_deref(), Some("(2 secrets)"));
        assert_eq!(shown("outbox_bytes_max").as_deref(), Some("2097152"));
    }

    #[test]
    fn switch_is_a_word_on_the_command_line_too() {
        for (arguments, is_on) in
            [(&["--echo"][..], true), (&["--echo=yes"], true), (&["--echo=off"], false), (&[], false)]
        {
            let arguments = [&["--addr", "127.0.0.1:0"], arguments].concat();
            assert_eq!(load(&arguments, &[]).unwrap().config.echo, is_on, "{arguments:?}");
        }
        let arguments = ["--addr", "127.0.0.1:0", "--echo=no"];
        assert!(!load(&arguments, &[("THRONG_ECHO", "on")]).unwrap().config.echo, "a flag beats a variable");
    }

    /// An operator has to know which of the three to change.
    #[test]
    fn error_names_the_variable_that_a_value_came_from() {
        for (arguments, variables, expected) in [
            (&[][..], &[("THRONG_SHARDS", "0")][..], "THRONG_SHARDS: 0 is not between 1 and 64"),
            (&[], &[("THRONG_ECHO", "maybe")], "THRONG_ECHO: \"maybe\" is not true or false"),
            (&[], &[("THRONG_LOG", "warning")], "THRONG_LOG: \"warning\" is not one of"),
            (&["--shards", "0"], &[], "--shards 0 is not between 1 and 64"),
            (&[], &[("THRONG_PONG_TIMEOUT", "60s")], "(pong_timeout from THRONG_PONG_TIMEOUT)"),
            (
                &["--pong-timeout", "60s"],
                &[("THRONG_PING_INTERVAL", "50s")],
                "(ping_interval from THRONG_PING_INTERVAL)",
            ),
        ] {
            let error = load(arguments, variables).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let error = load(&[], &[("THRONG_SHARDS", "x"), ("THRONG_THREADS", "y")]).unwrap_err().to_string();
        assert_eq!(error.lines().count(), 2, "all of them: {error}");
    }
}
