//! A log filter: which lines are written, as one level or one per module.

use super::suggestion::suggestion;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Name of the program's own lines in a filter.
const PROGRAM: &str = "throng";

/// Modules of the program whose lines a filter can name, as `throng::hub`.
const MODULES: [&str; 14] = [
    "auth",
    "cli",
    "config",
    "engine",
    "http",
    "hub",
    "metrics",
    "net",
    "operation",
    "protocol",
    "rate",
    "server",
    "session",
    "top",
];

/// Levels, from the quietest to the loudest.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A level, or a list of levels per module as in `throng::hub=debug,info`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogFilter(String);

/// Text that is not a log filter.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum LogFilterError {
    /// A word is neither a level nor a module of the program.
    #[error("{word:?} is not one of {}{suggestion}", LEVELS.join(", "))]
    Level {
        /// The word.
        word: String,
        /// `; did you mean ...?`, or nothing.
        suggestion: String,
    },
    /// The program has no module of this name, so the directive would change nothing.
    #[error("{name:?} is no module of the program; there are throng and {}", known_modules())]
    Module {
        /// The name of the module.
        name: String,
    },
    /// No directive is for this program, so nothing would be logged.
    #[error(
        "{text:?} has no level for the program itself, so not one line would be logged; add one, as in {text},info"
    )]
    Silent {
        /// The text.
        text: String,
    },
    /// A directive has another shape.
    #[error("{text:?} is not a level or a list such as throng::hub=debug,info: {reason}")]
    Shape {
        /// The text.
        text: String,
        /// What the parser says.
        reason: String,
    },
}

fn known_modules() -> String {
    MODULES.map(|module| format!("{PROGRAM}::{module}")).join(", ")
}

impl LogFilter {
    /// Returns the filter as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LogFilter {
    type Err = LogFilterError;

    fn from_str(text: &str) -> Result<Self, LogFilterError> {
        let directives: Vec<_> = text.split(',').map(str::trim).filter(|one| !one.is_empty()).collect();
        let mut has_own_level = false;
        for directive in &directives {
            has_own_level |= check(directive)?;
        }
        if !has_own_level {
            return Err(LogFilterError::Silent { text: text.to_owned() });
        }
        let parts = |directive: &&str| directive.split('=').map(str::trim).collect::<Vec<_>>().join("=");
        let plain = directives.iter().map(parts).collect::<Vec<_>>().join(",");
        let shape =
            |reason: &dyn fmt::Display| LogFilterError::Shape { text: text.to_owned(), reason: reason.to_string() };
        EnvFilter::try_new(&plain).map_err(|error| shape(&error))?;
        Ok(Self(plain))
    }
}

/// Checks one directive, and returns whether it is for lines of this program.
fn check(directive: &str) -> Result<bool, LogFilterError> {
    // Spans and fields are for experts, and the parser checks them.
    if directive.contains(['[', '{']) {
        return Ok(true);
    }
    let (target, level) = match directive.split_once('=') {
        Some((target, level)) => (Some(target.trim()), Some(level.trim())),
        None if is_level(directive) => (None, Some(directive)),
        // A module alone has all its lines.
        None if directive == PROGRAM || directive.starts_with("throng::") => (Some(directive), None),
        None => return Err(unknown_level(directive)),
    };
    if let Some(level) = level.filter(|level| !is_level(level)) {
        return Err(unknown_level(level));
    }
    let Some(target) = target else { return Ok(true) };
    match target.strip_prefix("throng::") {
        Some(path) if MODULES.contains(&path.split("::").next().unwrap_or_default()) => Ok(true),
        Some(_) => Err(LogFilterError::Module { name: target.to_owned() }),
        None => Ok(target == PROGRAM),
    }
}

fn is_level(text: &str) -> bool {
    text.parse::<LevelFilter>().is_ok()
}

fn unknown_level(word: &str) -> LogFilterError {
    let known = LEVELS.iter().map(|level| (*level).to_owned());
    let suggestion = match word.to_ascii_lowercase().as_str() {
        "verbose" | "all" | "fine" => "; did you mean debug?".to_owned(),
        "fatal" | "critical" | "crit" | "emerg" | "alert" | "severe" | "err" => "; did you mean error?".to_owned(),
        "none" | "silent" | "quiet" => "; did you mean off?".to_owned(),
        "notice" => "; did you mean info?".to_owned(),
        _ => suggestion(word, known),
    };
    LogFilterError::Level { word: word.to_owned(), suggestion }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        text.parse::<LogFilter>().unwrap_err().to_string()
    }

    /// A filter that matches nothing would silence the log, errors included.
    #[test]
    fn misspelt_level_or_module_is_refused_with_a_suggestion() {
        for (text, expected) in [
            ("warning", "\"warning\" is not one of off, error, warn, info, debug, trace; did you mean warn?"),
            ("inf", "did you mean info?"),
            ("verbose", "did you mean debug?"),
            ("err", "did you mean error?"),
            ("throng=warning", "\"warning\" is not one of"),
            ("hyper", "\"hyper\" is not one of"),
            (
                "throng::hubb=debug,info",
                "\"throng::hubb\" is no module of the program; there are throng and throng::auth",
            ),
            ("hyper=debug", "not one line would be logged; add one, as in hyper=debug,info"),
            ("a=b=c", "\"b=c\" is not one of"),
            (",", "not one line would be logged"),
            ("throng[x=debug", "is not a level or a list"),
        ] {
            assert!(error(text).contains(expected), "{text}: {}", error(text));
        }
        let nonsense = error("nonsense");
        assert!(nonsense.ends_with("debug, trace"), "no guess when nothing is near: {nonsense}");
    }

    #[test]
    fn level_module_and_lists_are_accepted() {
        for text in ["info", "WARN", "off", "3", "throng::hub=debug,info", "throng", "throng=trace", "hyper=warn,error"]
        {
            assert_eq!(text.parse::<LogFilter>().unwrap().as_str(), text);
        }
        assert_eq!(" throng::net = debug , info ".parse::<LogFilter>().unwrap().as_str(), "throng::net=debug,info");
    }

    /// A new module must not be refused in a filter.
    #[test]
    fn modules_are_those_of_the_program() {
        let declared = include_str!("../lib.rs").lines().filter_map(|line| {
            line.trim_start_matches("pub(crate) ").trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';')
        });
        let mut declared: Vec<_> = declared.collect();
        declared.sort_unstable();
        assert_eq!(declared, MODULES);
    }
}
