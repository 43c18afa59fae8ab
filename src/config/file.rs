//! A configuration file: TOML, read by a schema.
//!
//! Each value is checked alone, by its setting, so that every mistake is reported with its line, and all of them at
//! once.

use super::section::{Occurs, Schema, Section};
use super::setting::{DefaultValue, Kind, Setting, Unit};
use super::suggestion::suggestion;
use super::value::ValueError;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use thiserror::Error;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One mistake in a file or a variable, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The path of the file, or the name of the variable.
    pub origin: String,
    /// Line and column, from 1; `None` for the file as a whole, and for a variable.
    pub position: Option<(usize, usize)>,
    /// What is wrong, and what to do.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)?;
        if let Some((line, column)) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.text)
    }
}

/// A valid value of a file.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Name of the section; empty above all sections.
    pub section: &'static str,
    /// Number of the section among those of its name, from 0.
    pub number: usize,
    /// Key of the setting.
    pub key: &'static str,
    /// The value as a command line would have it, one text per item of a list.
    pub values: Vec<String>,
    /// Line of the file, from 1.
    pub line: usize,
}

/// Why a value of a file is not one of its setting.
#[derive(Debug, Error)]
enum TypeError {
    #[error("{found} is not a list; write [\"...\", \"...\"]")]
    List { found: String },
    #[error("{found} is not true or false")]
    Switch { found: String },
    #[error("{found} is not a whole decimal number; write it without quotes")]
    Number { found: String },
    #[error("{found} is not text; write it in quotes")]
    Text { found: String },
    #[error("{found} is not a number of bytes; write 65536 or \"64KiB\"")]
    Bytes { found: String },
    #[error(transparent)]
    Value(#[from] ValueError),
}

/// Reads a file.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn read(schema: Schema, path: &Path) -> Result<Vec<Entry>, Vec<Problem>> {
    let problem = |text: String| vec![Problem { origin: path.display().to_string(), position: None, text }];
    let bytes = std::fs::read(path).map_err(|error| {
        problem(format!("cannot be read: {error}; give another file with --config, or leave it out"))
    })?;
    match String::from_utf8(bytes) {
        Ok(text) => parse(schema, path, &text),
        Err(error) => {
            let offset = error.utf8_error().valid_up_to();
            let line = error.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1;
            Err(problem(format!("line {line} is not UTF-8; save the file in that encoding")))
        }
    }
}

/// Reads the text of a file.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn parse(schema: Schema, path: &Path, text: &str) -> Result<Vec<Entry>, Vec<Problem>> {
    // Some editors begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reading = Reading { schema, path, text, entries: Vec::new(), problems: Vec::new() };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        reading.report(error.span(), error.message().to_owned());
    }
    for (key, value) in table.get_ref() {
        match value.get_ref() {
            DeValue::Table(table) => reading.read_table(key, table),
            DeValue::Array(items) if is_array_of_tables(items) => reading.read_array(key, items),
            _ => reading.read_value(("", 0), key, value),
        }
    }
    let Reading { entries, mut problems, .. } = reading;
    problems.sort_by_key(|problem| problem.position);
    problems.dedup();
    if problems.is_empty() { Ok(entries) } else { Err(problems) }
}

/// A name in a file, with its position.
type Name<'a> = Spanned<Cow<'a, str>>;

fn is_array_of_tables(items: &[Spanned<DeValue<'_>>]) -> bool {
    items.iter().any(|item| matches!(item.get_ref(), DeValue::Table(_)))
}

/// A file that is being read.
struct Reading<'a> {
    schema: Schema,
    path: &'a Path,
    text: &'a str,
    entries: Vec<Entry>,
    problems: Vec<Problem>,
}

impl Reading<'_> {
    fn report(&mut self, span: Option<Range<usize>>, text: String) {
        let position = span.map(|span| self.position(span.start));
        self.problems.push(Problem { origin: self.path.display().to_string(), position, text });
    }

    /// Returns line and column of a byte.
    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
        (before.matches('\n').count() + 1, column + 1)
    }

    fn read_table(&mut self, name: &Name<'_>, table: &DeTable<'_>) {
        if let Some(section) = self.section(name, Occurs::Once) {
            self.read_section((section, 0), table);
        }
    }

    fn read_array(&mut self, name: &Name<'_>, items: &[Spanned<DeValue<'_>>]) {
        let Some(section) = self.section(name, Occurs::Repeated) else { return };
        for (number, item) in items.iter().enumerate() {
            match item.get_ref() {
                DeValue::Table(table) => self.read_section((section, number), table),
                other => self.report(Some(item.span()), format!("{} is not a table [[{section}]]", type_name(other))),
            }
        }
    }

    fn read_section(&mut self, section: (&'static str, usize), table: &DeTable<'_>) {
        for (key, value) in table {
            self.read_value(section, key, value);
        }
    }

    /// Returns the name of a section, or reports why there is none that occurs like this.
    fn section(&mut self, name: &Name<'_>, occurs: Occurs) -> Option<&'static str> {
        let named = |section: &&'static Section| !section.name.is_empty() && section.name == name.get_ref().as_ref();
        let text = match self.schema.iter().find(named) {
            Some(section) if section.occurs == occurs => return Some(section.name),
            Some(section) => format!("write the section {} as {}", section.name, section.heading()),
            None => {
                let known = self.schema.iter().filter(|section| !section.name.is_empty()).map(Section::heading);
                format!("there is no section {}{}", occurs.heading(name.get_ref()), suggestion(name.get_ref(), known))
            }
        };
        self.report(Some(name.span()), text);
        None
    }

    fn read_value(&mut self, (section, number): (&'static str, usize), key: &Name<'_>, value: &Spanned<DeValue<'_>>) {
        let name = key.get_ref().as_ref();
        let Some(setting) = self.setting(section, name) else {
            let text = self.misplaced(name);
            return self.report(Some(key.span()), text);
        };
        if stands_for_nothing(setting, value.get_ref()) {
            return;
        }
        match texts(setting, value.get_ref()) {
            Ok(values) => {
                let line = self.position(key.span().start).0;
                self.entries.push(Entry { section, number, key: setting.key, values, line });
            }
            Err(error) => self.report(Some(value.span()), format!("{name}: {error}")),
        }
    }

    fn setting(&self, section: &str, key: &str) -> Option<&'static Setting> {
        self.schema.iter().filter(|one| one.name == section).find_map(|one| one.setting(key))
    }

    /// Says where a key belongs, or that there is none of this name.
    fn misplaced(&self, key: &str) -> String {
        match self.schema.iter().find(|section| section.setting(key).is_some()) {
            Some(section) if section.name.is_empty() => format!("{key} belongs above all sections"),
            Some(section) => format!("{key} belongs in {}", section.heading()),
            None => {
                let known = self.schema.iter().flat_map(|section| section.settings).map(|one| one.key.to_owned());
                format!("there is no key {key}{}", suggestion(key, known))
            }
        }
    }
}

/// Returns whether a value is the empty text of a setting that may be left out, as the sample file and templates have
/// it.
fn stands_for_nothing(setting: &Setting, value: &DeValue<'_>) -> bool {
    let is_optional = matches!((setting.kind, setting.default), (Kind::Text(_), DefaultValue::Unset));
    is_optional && value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// Returns the texts of a value, once they are values of the setting.
fn texts(setting: &Setting, value: &DeValue<'_>) -> Result<Vec<String>, TypeError> {
    let texts = match value {
        DeValue::Array(items) if setting.kind.is_list() => {
            items.iter().map(|item| scalar(setting.kind, item.get_ref())).collect::<Result<_, _>>()?
        }
        _ if setting.kind.is_list() => return Err(TypeError::List { found: type_name(value) }),
        _ => vec![scalar(setting.kind, value)?],
    };
    texts.iter().try_for_each(|text| setting.check(text))?;
    Ok(texts)
}

fn scalar(kind: Kind, value: &DeValue<'_>) -> Result<String, TypeError> {
    let found = || type_name(value);
    match (kind, value) {
        (Kind::Switch, DeValue::Boolean(is_on)) => Ok(is_on.to_string()),
        (Kind::Switch, _) => Err(TypeError::Switch { found: found() }),
        (Kind::Number(..), DeValue::Integer(number)) if number.radix() == 10 => Ok(number.as_str().replace('_', "")),
        (Kind::Number(Unit::Bytes | Unit::BytesPerSecond, _), DeValue::String(text)) => Ok(text.to_string()),
        (Kind::Number(Unit::Bytes | Unit::BytesPerSecond, _), _) => Err(TypeError::Bytes { found: found() }),
        (Kind::Number(..), _) => Err(TypeError::Number { found: found() }),
        (_, DeValue::String(text)) => Ok(text.to_string()),
        (Kind::Duration(_) | Kind::Text(_) | Kind::Choice(_) | Kind::List(_) | Kind::Secrets(_), _) => {
            Err(TypeError::Text { found: found() })
        }
    }
}

fn type_name(value: &DeValue<'_>) -> String {
    let name = value.type_str();
    format!("{} {name}", if name.starts_with(['a', 'i']) { "an" } else { "a" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::section::section;
    use crate::config::setting::{DefaultValue::Unset, count, duration, text};
    use proptest::prelude::*;
    use std::time::Duration;

    fn problems(text: &str) -> Vec<String> {
        let problems = parse(Config::SCHEMA, Path::new("hub.toml"), text).err().unwrap_or_default();
        problems.iter().map(Problem::to_string).collect()
    }

    /// An operator has to find the mistake: file, line, column, value, rule.
    #[test]
    fn every_problem_is_reported_with_its_position() {
        for (text, expected) in [
            ("shards = 0", "hub.toml:1:10: shards: 0 is not between 1 and 64"),
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
            (
                "[limits]\nclose_timeout = \"0s\"",
                "hub.toml:2:17: close_timeout: 0s is not between 1ms and 1day; 0s would end every connection at once, \
                 and a day is as good as no limit",
            ),
            ("[[limits]]\nshards = 2", "hub.toml:1:3: write the section limits as [limits]"),
            ("[[limit]]\nshards = 2", "hub.toml:1:3: there is no section [[limit]]; did you mean [limits]?"),
            ("addr = [\"nowhere\"]", "hub.toml:1:8: addr: nowhere is not [proxy+][tls+]HOST:PORT, :PORT or unix:PATH"),
            (
                "[access]\nadmin_keys = [\"short\"]",
                "hub.toml:2:14: admin_keys: a key of 5 characters can be guessed; give at least 16 (in a variable or \
                 flag, a comma separates keys)",
            ),
            (
                "[limits]\nmessage_bytes_max = \"many\"",
                "hub.toml:2:21: message_bytes_max: \"many\" is not a size such as 65536, 64KiB or 2MB",
            ),
            (
                "[limits]\nmessage_bytes_max = true",
                "hub.toml:2:21: message_bytes_max: a boolean is not a number of bytes; write 65536 or \"64KiB\"",
            ),
        ] {
            assert_eq!(problems(text), [expected], "{text}");
        }
        assert_eq!(problems("shards = 1\nshards = 2")[0].split(": ").next(), Some("hub.toml:2:1"));
        assert!(problems("shards = \nx = 1\n[limits]\ny = 2").len() >= 3, "all of them, not only the first");
    }

    #[test]
    fn values_become_what_a_command_line_would_say() {
        let above = "addr = [\"127.0.0.1:0\", \"unix:/x\"]\necho = true\n";
        let text = format!("{above}[limits]\nchannels_max = 1_000\nping_interval = \"9s\"");
        let entries = parse(Config::SCHEMA, Path::new("x"), &text).unwrap();
        let values: Vec<_> = entries.iter().map(|entry| (entry.key, entry.values.join(" "), entry.line)).collect();
        let expected = [
            ("addr", "127.0.0.1:0 unix:/x".to_owned(), 1),
            ("channels_max", "1000".to_owned(), 4),
            ("echo", "true".to_owned(), 2),
            ("ping_interval", "9s".to_owned(), 5),
        ];
        assert!(expected.iter().all(|entry| values.contains(entry)), "{values:?}");
    }

    /// Files come from Windows editors, templates and people.
    #[test]
    fn byte_order_mark_line_ends_white_space_and_units_do_not_matter() {
        let file = "\u{feff}addr = [\" 127.0.0.1:0 \"]\r\ninternal_addr = \"\"\r\n[access]\r\n\
            admin_keys = [\"0123456789abcdef,ghij\\n\"]\r\ntrusted_proxies = [\" 10.0.0.0/8\"]\r\n[limits]\r\n\
            message_bytes_max = \"16 KiB\"\r\nping_interval = \" 9s \"\r\n[tls]\r\ntls_key = \" \"\r\n";
        let config = Config::from_toml(file).unwrap();
        assert_eq!(config.addr[0].to_string(), "127.0.0.1:0");
        assert!(config.internal_addr.is_none() && config.tls.tls_key.is_none());
        assert_eq!(config.access.admin_keys[0].secret(), "0123456789abcdef,ghij", "an item of a list is one key");
        assert_eq!(config.access.admin_keys.len(), 1);
        assert_eq!(config.access.trusted_proxies[0].to_string(), "10.0.0.0/8");
        assert_eq!(config.sockets.message_bytes_max, 16_384);
        assert_eq!(config.limits.ping_interval, Duration::from_secs(9));
        assert_eq!(problems("\u{feff}shards = 0"), ["hub.toml:1:10: shards: 0 is not between 1 and 64"]);
    }

    section! {
        /// What the settings above all sections have in common.
        struct Root in "" (Once) {
            /// Number of shards.
            shards: usize = count("shards", 1, 64), text("1"), Restart;
        }
    }

    section! {
        /// A group of channels with options in common.
        struct Namespace in "namespace" (Repeated) {
            /// Name of the namespace.
            name: Option<String> = Kind::Text("name"), Unset, AtOnce;
            /// Time for which a message is kept.
            history: Duration = duration(0, u64::MAX, ""), text("0s"), AtOnce;
        }
    }

    const SCHEMA: Schema = &[Root::SECTION, Namespace::SECTION];

    /// A schema is not limited to what a command line can hold.
    #[test]
    fn lists_of_tables_are_read_by_the_same_declarations() {
        let file = "shards = 2\n[[namespace]]\nname = \"chat\"\n[[namespace]]\nname = \"news\"\nhistory = \"1m\"\n";
        let entries = parse(SCHEMA, Path::new("x"), file).unwrap();
        let namespaces = (0..2).map(|number| {
            let found =
                |setting: &Setting| entries.iter().find(|entry| entry.number == number && entry.key == setting.key);
            Namespace::read(&|setting| {
                found(setting).map_or_else(|| crate::config::root::default_texts(setting), |entry| entry.values.clone())
            })
        });
        let namespaces = namespaces.collect::<Result<Vec<_>, _>>().unwrap();
        assert_eq!(namespaces[0].name.as_deref(), Some("chat"));
        assert_eq!((namespaces[0].history, namespaces[1].history), (Duration::ZERO, Duration::from_secs(60)));

        let mut root = Root::read(&|_| vec!["65".to_owned()]).unwrap();
        assert!(root.check_ranges().is_err() && namespaces[0].check_ranges().is_ok());
        root.keep_until_restart(&Root { shards: 2 });
        let mut reloaded = namespaces[0].clone();
        reloaded.keep_until_restart(&namespaces[1]);
        assert_eq!((root.shards, reloaded.history), (2, namespaces[0].history));

        let wrong = "[[namespace]]\nname = \"chat\"\n[[namespace]]\nhistory = 1\nshards = 2\n";
        let problems = parse(SCHEMA, Path::new("x"), wrong).unwrap_err();
        let problems: Vec<_> = problems.iter().map(Problem::to_string).collect();
        assert_eq!(
            problems,
            ["x:4:11: history: an integer is not text; write it in quotes", "x:5:1: shards belongs above all sections"]
        );
        let problems = parse(SCHEMA, Path::new("x"), "[namespace]\n").unwrap_err();
        assert_eq!(problems[0].to_string(), "x:1:2: write the section namespace as [[namespace]]");
    }

    /// A line that is nearly right, or anything.
    const LINE: &str = "[a-z_]{1,12} ?= ?(\"[^\"]{0,9}\"|[0-9]{1,9}|\\[.{0,9}\\])|\\[[a-z]{0,9}\\]|.{0,20}";

    proptest! {
        /// No file can end the process.
        #[test]
        fn no_text_panics(
            lines in prop::collection::vec(LINE, 0..8),
        ) {
            let text = lines.join("\n");
            problems(&text);
        }
    }
}
