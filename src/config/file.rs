//! A configuration file: TOML, read by a schema.
//!
//! Each value is checked alone, by its setting, so that every mistake is reported with its line, and all of them at
//! once.

use super::section::{Occurs, Schema, Section};
use super::setting::{DefaultValue, Kind, Setting, Unit};
use super::suggestion::suggestion;
use super::tables::{Entry, FileContents, Table};
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
pub fn read(schema: Schema, path: &Path) -> Result<FileContents, Vec<Problem>> {
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
pub fn parse(schema: Schema, path: &Path, text: &str) -> Result<FileContents, Vec<Problem>> {
    // Some editors begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reading = Reading { schema, path, text, contents: FileContents::default(), problems: Vec::new() };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        reading.report(error.span(), error.message().to_owned());
    }
    for (key, value) in table.get_ref() {
        match value.get_ref() {
            DeValue::Table(table) => reading.read_table(key, table),
            DeValue::Array(items) if is_array_of_tables(items) => reading.read_array(key, items),
            // A template that had nothing to write.
            DeValue::Array(items) if items.is_empty() && is_list(schema, key.get_ref()) => {}
            _ => {
                let entry = reading.read_value("", key, value);
                reading.contents.entries.extend(entry);
            }
        }
    }
    let Reading { contents, mut problems, .. } = reading;
    problems.sort_by_key(|problem| problem.position);
    problems.dedup();
    if problems.is_empty() { Ok(contents) } else { Err(problems) }
}

/// A name in a file, with its position.
type Name<'a> = Spanned<Cow<'a, str>>;

fn is_array_of_tables(items: &[Spanned<DeValue<'_>>]) -> bool {
    items.iter().any(|item| matches!(item.get_ref(), DeValue::Table(_)))
}

fn is_list(schema: Schema, name: &str) -> bool {
    schema.iter().any(|section| section.occurs == Occurs::Repeated && section.name == name)
}

/// A file that is being read.
struct Reading<'a> {
    schema: Schema,
    path: &'a Path,
    text: &'a str,
    contents: FileContents,
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
            let entries = self.read_entries(section, table);
            self.contents.entries.extend(entries);
        }
    }

    fn read_array(&mut self, name: &Name<'_>, items: &[Spanned<DeValue<'_>>]) {
        let Some(section) = self.section(name, Occurs::Repeated) else { return };
        for item in items {
            match item.get_ref() {
                DeValue::Table(table) => {
                    let (line, entries) = (self.position(item.span().start).0, self.read_entries(section, table));
                    self.contents.tables.push(Table { section, line, entries });
                }
                other => self.report(Some(item.span()), format!("{} is not a table [[{section}]]", type_name(other))),
            }
        }
    }

    fn read_entries(&mut self, section: &str, table: &DeTable<'_>) -> Vec<Entry> {
        table.iter().filter_map(|(key, value)| self.read_value(section, key, value)).collect()
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

    /// Returns the value of a key, unless it stands for nothing, or reports what is wrong with it.
    fn read_value(&mut self, section: &str, key: &Name<'_>, value: &Spanned<DeValue<'_>>) -> Option<Entry> {
        let name = key.get_ref().as_ref();
        let Some(setting) = self.setting(section, name) else {
            let text = self.misplaced(name);
            self.report(Some(key.span()), text);
            return None;
        };
        if stands_for_nothing(setting, value.get_ref()) {
            return None;
        }
        match texts(setting, value.get_ref()) {
            Ok(values) => Some(Entry { setting, values, line: self.position(key.span().start).0 }),
            Err(error) => {
                self.report(Some(value.span()), format!("{name}: {error}"));
                None
            }
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
    let has_text = matches!(setting.kind, Kind::Text(_) | Kind::Secret(_) | Kind::Choice(_));
    let is_optional = has_text && setting.default == DefaultValue::Unset;
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
        (
            Kind::Duration(_) | Kind::Text(_) | Kind::Choice(_) | Kind::List(_) | Kind::Secrets(_) | Kind::Secret(_),
            _,
        ) => Err(TypeError::Text { found: found() }),
    }
}

fn type_name(value: &DeValue<'_>) -> String {
    let name = value.type_str();
    format!("{} {name}", if name.starts_with(['a', 'i']) { "an" } else { "a" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::error::ConfigError;
    use crate::config::root::place;
    use crate::config::section::{FieldError, section};
    use crate::config::setting::{DefaultValue::Unset, count, duration, text};
    use crate::config::{Config, FileMode, LoadError};
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
        let entries = parse(Config::SCHEMA, Path::new("x"), &text).unwrap().entries;
        let values: Vec<_> =
            entries.iter().map(|entry| (entry.setting.key, entry.values.join(" "), entry.line)).collect();
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
        /// What the rooms of a house have in common, and what each has unless it says otherwise.
        struct Comfort in "comfort" (Once) {
            /// Number of chairs.
            chairs: usize = count("chairs", 1, 64), text("4"), AtOnce;
            /// How warm it is.
            warmth: Option<String> = Kind::Text("words"), Unset, AtOnce;
        }
    }

    section! {
        /// A room of the house.
        struct Room in "room" (Repeated) {
            /// Name of the room.
            name: FileMode = Kind::Text("name"), Unset, AtOnce;
            /// Time for which the light stays on.
            light: Duration = duration(0, u64::MAX, ""), text("1s"), AtOnce;
        }
        inherits {
            /// What it has in common with others.
            comfort: Comfort,
        }
    }

    section! {
        /// What the settings above all sections have in common.
        struct House in "" (Once) {
            /// Number of shards.
            shards: usize = count("shards", 1, 64), text("1"), Restart;
        }
        with {
            /// Of all rooms.
            comfort: Comfort,
        }
        lists {
            /// The rooms.
            rooms: Room,
        }
    }

    fn house(text: &str) -> Result<House, String> {
        let contents = parse(House::SCHEMA, Path::new("x"), text);
        let contents = contents.map_err(|all| all.iter().map(Problem::to_string).collect::<Vec<_>>().join("; "))?;
        let error = |error: FieldError| {
            let error = ConfigError::from(error);
            LoadError::invalid(error, House::SCHEMA, &contents, |one| place(&contents.entries, one)).to_string()
        };
        House::read(&contents).map_err(error)
    }

    /// What a table leaves out has the value of the section that it inherits from, or the default of the program.
    #[test]
    fn lists_of_tables_are_read_by_the_same_declarations_and_inherit() {
        let file = "shards = 2\n[comfort]\nchairs = 6\n[[room]]\nname = \"700\"\nlight = \"1m\"\nwarmth = \"cosy\"\n\
            [[room]]\nname = \"600\"\nchairs = 1\n";
        let mut read = house(file).unwrap();
        let rooms: Vec<_> =
            read.rooms.iter().map(|one| (one.name.bits(), one.light.as_secs(), one.comfort.chairs)).collect();
        assert_eq!(rooms, [(0o700, 60, 6), (0o600, 1, 1)]);
        assert_eq!(
            (read.rooms[0].comfort.warmth.as_deref(), read.rooms[1].comfort.warmth.as_deref()),
            (Some("cosy"), None)
        );
        assert_eq!((read.comfort.chairs, house("[[room]]\nname = \"600\"").unwrap().rooms[0].comfort.chairs), (6, 4));
        assert!(house("room = []").unwrap().rooms.is_empty());
        assert_eq!(house("room = [{ name = \"600\" }, { name = \"400\" }]").unwrap().rooms.len(), 2);

        read.keep_until_restart(&House { shards: 5, rooms: Vec::new(), ..read.clone() });
        assert_eq!((read.shards, read.rooms.len()), (5, 2), "lists are replaced as a whole");
        read.rooms[1].comfort.chairs = 65;
        let error = ConfigError::from(read.check_ranges().unwrap_err()).to_string();
        assert_eq!(error, "[[room]] number 2: chairs: 65 is not between 1 and 64");
    }

    /// A mistake in one of many tables has to be found: line, key, value, rule.
    #[test]
    fn mistakes_in_tables_are_reported_with_their_lines() {
        for (file, expected) in [
            (
                "[[room]]\nlight = 1\nshards = 2\n",
                "x:2:9: light: an integer is not text; write it in quotes; \
                x:3:1: shards belongs above all sections",
            ),
            (
                "[[room]]\nname = \"700\"\n\n[[room]]\nlight = \"1s\"\n",
                "[[room]] number 2: there is no name; \
                every table of this list needs one (in line 4)",
            ),
            ("[[room]]\nname = \"x\"", "x:2:8: name: \"x\" is not a mode in octal digits such as 660 or 0666"),
            ("[[room]]\nchairs = 65", "x:2:10: chairs: 65 is not between 1 and 64"),
            ("[[room]]\nchair = 1", "x:2:1: there is no key chair; did you mean chairs?"),
            ("name = \"600\"", "x:1:1: name belongs in [[room]]"),
            ("chairs = 1", "x:1:1: chairs belongs in [comfort]"),
            ("[room]\n", "x:1:2: write the section room as [[room]]"),
            ("[[rooms]]\n", "x:1:3: there is no section [[rooms]]; did you mean [[room]]?"),
            ("room = [1, { name = \"600\" }]", "x:1:9: an integer is not a table [[room]]"),
        ] {
            assert_eq!(house(file).err().as_deref(), Some(expected), "{file}");
        }
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
