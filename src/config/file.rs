//! A configuration file: TOML, whose keys are the flags in snake case, in sections named as the headings of `--help`.
//!
//! clap's definition is the one schema. Each value is checked alone by the parser of its flag, so that whatever is
//! wrong is said with its line, and all of it at once; what is right becomes the default of its flag, which variables
//! and flags then beat.

use super::Config;
use clap::builder::OsStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command, CommandFactory};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Names as near as this are offered for one that does not exist.
const SIMILARITY_MIN: f64 = 0.75;

/// One thing that is wrong with a file, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// Line and column, from 1; `None` of the file as a whole.
    pub place: Option<(usize, usize)>,
    /// What is wrong, and what to do.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.text)
    }
}

/// A value of a file that is right.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The setting, as clap knows it.
    pub id: String,
    /// Its values as a command line would have them.
    pub values: Vec<String>,
    /// Line of the file, from 1.
    pub line: usize,
}

/// Returns the section that a setting stands in; the empty one for what has no heading.
pub fn section(arg: &Arg) -> String {
    arg.get_help_heading().unwrap_or_default().to_lowercase()
}

/// Returns the settings, as opposed to what only a command line has.
pub fn settings(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| !["config", "help", "version"].contains(&arg.get_id().as_str()))
}

/// Reads a file.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn read(path: &Path) -> Result<Vec<Entry>, Vec<Problem>> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(path, &text),
        Err(error) => {
            let text = format!("can not be read: {error}; give another file with --config, or leave it out");
            Err(vec![Problem { path: path.to_owned(), place: None, text }])
        }
    }
}

/// Reads the text of a file.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Entry>, Vec<Problem>> {
    let mut reading =
        Reading { path, text, command: Config::command().mut_args(|arg| arg.env(None)), ..Reading::new(path) };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        reading.complain(error.span(), error.message().to_owned());
    }
    for (key, value) in table.get_ref() {
        match value.get_ref() {
            DeValue::Table(section) => reading.take_section(key, section),
            _ => reading.take("", key, value),
        }
    }
    let Reading { entries, mut problems, .. } = reading;
    problems.sort_by_key(|problem| problem.place);
    problems.dedup();
    if problems.is_empty() { Ok(entries) } else { Err(problems) }
}

/// A file that is being read.
struct Reading<'a> {
    path: &'a Path,
    text: &'a str,
    command: Command,
    entries: Vec<Entry>,
    problems: Vec<Problem>,
}

impl<'a> Reading<'a> {
    fn new(path: &'a Path) -> Self {
        Self { path, text: "", command: Command::default(), entries: Vec::new(), problems: Vec::new() }
    }

    fn complain(&mut self, span: Option<Range<usize>>, text: String) {
        let place = span.map(|span| self.place(span.start));
        self.problems.push(Problem { path: self.path.to_owned(), place, text });
    }

    fn place(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
        (before.matches('\n').count() + 1, column + 1)
    }

    fn take_section(&mut self, name: &Spanned<std::borrow::Cow<'_, str>>, section: &DeTable<'_>) {
        let known: Vec<_> = settings(&self.command).map(self::section).collect();
        let found = known.iter().any(|known| known == name.get_ref().as_ref());
        if !found {
            let advice =
                advice(name.get_ref(), known.iter().filter(|name| !name.is_empty()).map(|name| format!("[{name}]")));
            return self.complain(Some(name.span()), format!("there is no section [{}]{advice}", name.get_ref()));
        }
        for (key, value) in section {
            self.take(name.get_ref(), key, value);
        }
    }

    fn take(&mut self, section: &str, key: &Spanned<std::borrow::Cow<'_, str>>, value: &Spanned<DeValue<'_>>) {
        let name = key.get_ref().as_ref();
        let arg = settings(&self.command).find(|arg| arg.get_id() == name).cloned();
        let Some(arg) = arg else {
            let advice = advice(name, settings(&self.command).map(|arg| arg.get_id().to_string()));
            return self.complain(Some(key.span()), format!("there is no key {name}{advice}"));
        };
        let home = self::section(&arg);
        if home != section {
            let place = if home.is_empty() { "above all sections".to_owned() } else { format!("in [{home}]") };
            return self.complain(Some(key.span()), format!("{name} belongs {place}"));
        }
        let judged = values(&arg, value.get_ref()).and_then(|values| {
            check(&arg, &values)?;
            Ok(values)
        });
        match judged {
            Ok(values) => {
                let line = self.place(key.span().start).0;
                self.entries.push(Entry { id: name.to_owned(), values, line });
            }
            Err(text) => self.complain(Some(value.span()), format!("{name}: {text}")),
        }
    }
}

/// Returns what a command line would say for a value, or which type is needed.
fn values(arg: &Arg, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let is_list = matches!(arg.get_action(), ArgAction::Append);
    match value {
        DeValue::Array(items) if is_list => items.iter().map(|item| scalar(arg, item.get_ref())).collect(),
        _ if is_list => Err(format!("{} is not a list; write [\"...\", \"...\"]", kind(value))),
        _ => scalar(arg, value).map(|value| vec![value]),
    }
}

/// What kind of TOML value a setting is written as.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    /// `true` or `false`.
    Switch,
    /// A number without quotes.
    Number,
    /// Text in quotes.
    Text,
}

/// Returns how a setting is written.
pub fn shape(arg: &Arg) -> Shape {
    let is_number = || {
        let names = arg.get_value_names().unwrap_or_default();
        names.iter().any(|name| ["N", "BYTES"].contains(&name.as_str()))
    };
    match arg.get_action() {
        ArgAction::SetTrue => Shape::Switch,
        _ if is_number() => Shape::Number,
        _ => Shape::Text,
    }
}

fn scalar(arg: &Arg, value: &DeValue<'_>) -> Result<String, String> {
    match (shape(arg), value) {
        (Shape::Switch, DeValue::Boolean(is_on)) => Ok(is_on.to_string()),
        (Shape::Switch, _) => Err(format!("{} is not true or false", kind(value))),
        (Shape::Number, DeValue::Integer(number)) if number.radix() == 10 => Ok(number.as_str().replace('_', "")),
        (Shape::Number, _) => Err(format!("{} is not a whole decimal number; write it without quotes", kind(value))),
        (Shape::Text, DeValue::String(text)) => Ok(text.to_string()),
        (Shape::Text, _) => Err(format!("{} is not text; write it in quotes", kind(value))),
    }
}

fn kind(value: &DeValue<'_>) -> String {
    let kind = value.type_str();
    format!("{} {kind}", if kind.starts_with(['a', 'i']) { "an" } else { "a" })
}

/// Has a setting's own parser judge its values.
fn check(arg: &Arg, values: &[String]) -> Result<(), String> {
    if shape(arg) == Shape::Switch {
        return Ok(());
    }
    let alone = Command::new("throng").arg(arg.clone().required(false));
    let flag = arg.get_long().unwrap_or_default();
    let judged = alone.try_get_matches_from(
        std::iter::once("throng".to_owned()).chain(values.iter().map(|value| format!("--{flag}={value}"))),
    );
    judged.map(drop).map_err(|error| reason(&error))
}

/// Returns why clap refuses a value, without its advice for a command line.
fn reason(error: &clap::Error) -> String {
    if let Some(source) = std::error::Error::source(error) {
        return source.to_string();
    }
    match (error.kind(), error.get(ContextKind::ValidValue), error.get(ContextKind::InvalidValue)) {
        (ErrorKind::InvalidValue, Some(ContextValue::Strings(valid)), Some(ContextValue::String(given))) => {
            format!("{given:?} is not one of {}", valid.join(", "))
        }
        _ => error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    }
}

/// Returns `; did you mean ...?` when a known name is near enough.
pub(super) fn advice(name: &str, known: impl Iterator<Item = String>) -> String {
    let plain = |name: &str| name.trim_matches(['[', ']']).replace('-', "_").to_lowercase();
    let near = known.map(|known| (strsim::jaro_winkler(&plain(name), &plain(&known)), known));
    let nearest =
        near.filter(|(likeness, _)| *likeness >= SIMILARITY_MIN).max_by(|one, other| one.0.total_cmp(&other.0));
    nearest.map_or_else(String::new, |(_, known)| format!("; did you mean {known}?"))
}

/// Returns the command whose defaults are what a file says.
pub fn with_defaults(command: Command, entries: &[Entry]) -> Command {
    entries.iter().fold(command, |command, entry| {
        let values: Vec<OsStr> = entry.values.iter().map(OsStr::from).collect();
        command.mut_arg(&entry.id, |arg| arg.default_values(values))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(text: &str) -> Vec<String> {
        let problems = parse(Path::new("hub.toml"), text).err().unwrap_or_default();
        problems.iter().map(Problem::to_string).collect()
    }

    /// Who made the mistake has to find it: file, line, column, value, rule.
    #[test]
    fn every_problem_is_said_with_its_place() {
        for (text, expected) in [
            ("shards = 0", "hub.toml:1:10: shards: 0 is not in 1..=64"),
            (
                "\n  shards = \"2\"",
                "hub.toml:2:12: shards: a string is not a whole decimal number; write it without quotes",
            ),
            ("shard = 2", "hub.toml:1:1: there is no key shard; did you mean shards?"),
            ("[limit]\nping_interval = \"5s\"", "hub.toml:1:2: there is no section [limit]; did you mean [limits]?"),
            ("ping_interval = \"5s\"", "hub.toml:1:1: ping_interval belongs in [limits]"),
            ("[limits]\nshards = 2", "hub.toml:2:1: shards belongs above all sections"),
            ("[limits]\nping_interval = 5", "hub.toml:2:17: ping_interval: an integer is not text; write it in quotes"),
            ("[limits]\nslow_consumer = \"drop\"", "hub.toml:2:17: slow_consumer: \"drop\" is not one of close, skip"),
            ("echo = \"yes\"", "hub.toml:1:8: echo: a string is not true or false"),
            ("addr = \"127.0.0.1:80\"", "hub.toml:1:8: addr: a string is not a list; write [\"...\", \"...\"]"),
            ("addr = [\"nowhere\"]", "hub.toml:1:8: addr: nowhere is not [proxy+][tls+]HOST:PORT, :PORT or unix:PATH"),
            (
                "[access]\nadmin_keys = [\"short\"]",
                "hub.toml:2:14: admin_keys: a key of 5 characters can be guessed; give at least 16",
            ),
        ] {
            assert_eq!(said(text), [expected], "{text}");
        }
        assert_eq!(said("shards = 1\nshards = 2")[0].split(": ").next(), Some("hub.toml:2:1"));
        assert!(said("shards = \nx = 1\n[limits]\ny = 2").len() >= 3, "all of them, not only the first");
    }

    #[test]
    fn values_become_what_a_command_line_would_say() {
        let above = "addr = [\"127.0.0.1:0\", \"unix:/x\"]\necho = true\n";
        let text = format!("{above}[limits]\nchannels_max = 1_000\nping_interval = \"9s\"");
        let entries = parse(Path::new("x"), &text).unwrap();
        let values: Vec<_> =
            entries.iter().map(|entry| (entry.id.as_str(), entry.values.join(" "), entry.line)).collect();
        let expected = [
            ("addr", "127.0.0.1:0 unix:/x".to_owned(), 1),
            ("channels_max", "1000".to_owned(), 4),
            ("echo", "true".to_owned(), 2),
            ("ping_interval", "9s".to_owned(), 5),
        ];
        assert!(expected.iter().all(|entry| values.contains(entry)), "{values:?}");
    }

    /// A line that is nearly right, or anything.
    const LINE: &str = "[a-z_]{1,12} ?= ?(\"[^\"]{0,9}\"|[0-9]{1,9}|\\[.{0,9}\\])|\\[[a-z]{0,9}\\]|.{0,20}";

    proptest! {
        /// Nothing that a file can hold ends the process.
        #[test]
        fn no_text_panics(
            lines in prop::collection::vec(LINE, 0..8),
        ) {
            let text = lines.join("\n");
            said(&text);
        }
    }
}
