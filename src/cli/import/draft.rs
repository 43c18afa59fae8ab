//! A draft: the file of throng that is being made. Only values that their settings accept get into it.

use crate::config::section::single_settings;
use crate::config::value::ValueError;
use crate::config::{Config, NamespaceConfig, Setting};
use std::fmt::Write;

/// A value of a file.
#[derive(Clone, Debug)]
pub(super) enum Literal {
    /// A text, a duration or a word.
    Text(String),
    /// A number.
    Number(u64),
    /// A switch.
    Switch(bool),
    /// A list of texts.
    List(Vec<String>),
}

/// A key with its value, and where the value comes from.
#[derive(Clone, Debug)]
struct Line {
    key: &'static str,
    value: Literal,
    from: String,
}

/// A table of a list.
#[derive(Debug)]
pub(super) struct Table {
    list: &'static str,
    lines: Vec<Line>,
}

/// The file.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Lines outside lists, with the names of their sections.
    lines: Vec<(&'static str, Line)>,
    tables: Vec<Table>,
}

impl Literal {
    /// Returns the texts that the reader of files makes of it.
    fn texts(&self) -> Vec<String> {
        match self {
            Self::Text(text) => vec![text.clone()],
            Self::Number(number) => vec![number.to_string()],
            Self::Switch(is_on) => vec![is_on.to_string()],
            Self::List(items) => items.clone(),
        }
    }

    fn to_toml(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Number(number) => number.to_string(),
            Self::Switch(is_on) => is_on.to_string(),
            Self::List(items) => format!("[{}]", items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", ")),
        }
    }
}

/// Returns a text in quotes. What JSON escapes is escaped in the same way in TOML, which does not allow DEL either.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

impl Draft {
    /// Sets a setting of a section that occurs once.
    ///
    /// # Errors
    ///
    /// [`ValueError`] names the value and the rule, when it is none of this setting.
    pub(super) fn set(&mut self, key: &str, value: Literal, from: &str) -> Result<(), ValueError> {
        let found = single_settings(Config::SCHEMA).find(|(_, setting)| setting.key == key);
        let Some((section, setting)) = found else {
            debug_assert!(false, "there is no setting {key}");
            return Ok(());
        };
        check(setting, &value)?;
        self.lines.push((section.name, Line { key: setting.key, value, from: from.to_owned() }));
        Ok(())
    }

    /// Takes a setting back, and returns where its value came from.
    pub(super) fn unset(&mut self, key: &str) -> Option<String> {
        let index = self.lines.iter().position(|(_, line)| line.key == key)?;
        Some(self.lines.remove(index).1.from)
    }

    /// Returns the text of a setting, that of its default if it is not set.
    pub(super) fn text(&self, key: &str) -> String {
        let line = self.lines.iter().find(|(_, line)| line.key == key);
        let default = || single_settings(Config::SCHEMA).find(|(_, setting)| setting.key == key);
        match line {
            Some((_, line)) => line.value.texts().join(","),
            None => default().map_or_else(String::new, |(_, setting)| setting.default_text().to_owned()),
        }
    }

    /// Adds a table to a list.
    pub(super) fn push(&mut self, table: Table) {
        self.tables.push(table);
    }

    /// Takes the table back that was added last.
    pub(super) fn pop(&mut self) {
        self.tables.pop();
    }

    /// Returns the file without its comments above everything.
    pub(super) fn to_toml(&self) -> String {
        let mut file = String::new();
        let mut names: Vec<_> = Config::SCHEMA.iter().map(|section| section.name).collect();
        names.dedup();
        for name in names {
            let lines: Vec<_> = self.lines.iter().filter(|(section, _)| *section == name).collect();
            if !lines.is_empty() && !name.is_empty() {
                // Writing to a string does not fail, here and below.
                let _ = write!(file, "\n[{name}]\n");
            }
            write_lines(&mut file, lines.into_iter().map(|(_, line)| line));
        }
        for table in &self.tables {
            let _ = write!(file, "\n[[{}]]\n", table.list);
            write_lines(&mut file, table.lines.iter());
        }
        file
    }
}

fn write_lines<'a>(file: &mut String, lines: impl Iterator<Item = &'a Line>) {
    for line in lines {
        let _ = write!(file, "{} = {}", line.key, line.value.to_toml());
        let is_news = !line.from.is_empty() && line.from != line.key;
        let comment = if is_news { format!("  # {}", line.from) } else { String::new() };
        let _ = writeln!(file, "{comment}");
    }
}

impl Table {
    /// Makes an empty table of a list.
    pub(super) const fn new(list: &'static str) -> Self {
        Self { list, lines: Vec::new() }
    }

    /// Sets a key.
    ///
    /// # Errors
    ///
    /// [`ValueError`] names the value and the rule, when it is none of this key.
    pub(super) fn set(&mut self, key: &str, value: Literal, from: &str) -> Result<(), ValueError> {
        let section = Config::SCHEMA.iter().find(|section| section.name == self.list);
        let Some(setting) = section.and_then(|section| section.setting(key)) else {
            debug_assert!(false, "there is no key {key} in {}", self.list);
            return Ok(());
        };
        check(setting, &value)?;
        self.lines.push(Line { key: setting.key, value, from: from.to_owned() });
        Ok(())
    }

    /// Makes the lines those of the section that all namespaces inherit from.
    pub(super) fn into_default(self, draft: &mut Draft) {
        debug_assert_eq!(self.list, NamespaceConfig::SECTION.name);
        let section = crate::config::NamespaceOptions::SECTION.name;
        draft.lines.extend(self.lines.into_iter().map(|line| (section, line)));
    }

    /// Returns the table alone as a file.
    pub(super) fn to_toml(&self) -> String {
        let mut file = format!("[[{}]]\n", self.list);
        write_lines(&mut file, self.lines.iter());
        file
    }
}

fn check(setting: &'static Setting, value: &Literal) -> Result<(), ValueError> {
    value.texts().iter().try_for_each(|text| setting.check(text))
}
