//! Lists of tables: what a file says as `[[name]]`, any number of times, and how it becomes the fields of a section.
//!
//! Only a file can hold them: a variable or a flag is one value, and a list of tables has several of each.

use super::setting::{Kind, Setting};

/// A valid value of a file.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The setting.
    pub setting: &'static Setting,
    /// The value as a command line would have it, one text per item of a list.
    pub values: Vec<String>,
    /// Line of the file, from 1.
    pub line: usize,
}

/// One table of a list, with valid values.
#[derive(Clone, Debug)]
pub struct Table {
    /// Name of its section.
    pub section: &'static str,
    /// Line of its heading, from 1.
    pub line: usize,
    /// What it sets.
    pub entries: Vec<Entry>,
}

/// What a file says.
#[derive(Clone, Debug, Default)]
pub struct FileContents {
    /// The values of sections that occur once.
    pub entries: Vec<Entry>,
    /// The tables of lists, in the order of the file.
    pub tables: Vec<Table>,
}

/// Which table of which list, and which of its keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TableKey {
    /// Name of the section.
    pub section: &'static str,
    /// Number of the table among those of its list, from 0.
    pub number: usize,
    /// Key of the setting.
    pub key: &'static str,
}

/// What was given for the settings.
pub trait Given {
    /// Returns the texts of a setting, from its default if nothing was given.
    fn texts(&self, setting: &Setting) -> Vec<String>;

    /// Returns the tables of a list.
    fn tables(&self, section: &str) -> Vec<&Table>;
}

/// Texts alone, without lists of tables.
impl<F: Fn(&Setting) -> Vec<String>> Given for F {
    fn texts(&self, setting: &Setting) -> Vec<String> {
        self(setting)
    }

    fn tables(&self, _: &str) -> Vec<&Table> {
        Vec::new()
    }
}

/// What was given in one table. What it inherits and does not set itself has the value of the section that declares it.
pub(super) struct GivenInTable<'a> {
    pub(super) table: &'a Table,
    pub(super) inherited: &'static [Setting],
    pub(super) outside: &'a dyn Given,
}

impl Given for GivenInTable<'_> {
    fn texts(&self, setting: &Setting) -> Vec<String> {
        match find(&self.table.entries, setting) {
            Some(entry) => entry.values.clone(),
            None if self.inherited.iter().any(|one| one.key == setting.key) => self.outside.texts(setting),
            None => default_texts(setting),
        }
    }

    fn tables(&self, _: &str) -> Vec<&Table> {
        Vec::new()
    }
}

impl FileContents {
    /// Returns the tables of a list.
    pub fn tables(&self, section: &str) -> Vec<&Table> {
        self.tables.iter().filter(|table| table.section == section).collect()
    }

    /// Returns in which line a table has a key, or begins if it does not have it.
    pub fn line(&self, at: TableKey) -> Option<usize> {
        let table = *self.tables(at.section).get(at.number)?;
        let entry = table.entries.iter().find(|entry| entry.setting.key == at.key);
        Some(entry.map_or(table.line, |entry| entry.line))
    }
}

impl Given for FileContents {
    fn texts(&self, setting: &Setting) -> Vec<String> {
        find(&self.entries, setting).map_or_else(|| default_texts(setting), |entry| entry.values.clone())
    }

    fn tables(&self, section: &str) -> Vec<&Table> {
        self.tables(section)
    }
}

/// Returns the value of a setting, if a file has it.
pub(super) fn find<'a>(entries: &'a [Entry], setting: &Setting) -> Option<&'a Entry> {
    entries.iter().find(|entry| entry.setting.key == setting.key)
}

/// Returns the texts of a default, one per item of a list.
pub(super) fn default_texts(setting: &Setting) -> Vec<String> {
    let items = setting.default_text().split(',');
    items.filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// Returns texts as people may see them.
pub(super) fn shown(setting: &Setting, texts: &[String]) -> String {
    match (setting.kind, texts.len()) {
        (Kind::Secret(_) | Kind::Secrets(_), 1) => "(secret)".to_owned(),
        (Kind::Secrets(_), count @ 2..) => format!("({count} secrets)"),
        // Units do not make a difference: `1MiB` and `1048576` are the same value.
        _ => {
            let plain = |text: &String| setting.plain(text).unwrap_or_else(|_| text.clone());
            texts.iter().map(plain).collect::<Vec<_>>().join(",")
        }
    }
}

/// A table as people may see it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TableValue {
    /// Its list, and its name or else its number: `[[namespace]] chat`.
    pub label: String,
    /// What it sets, secrets left out: `history_size = 100, presence = true`.
    pub text: String,
    /// Line of its heading, from 1.
    pub line: usize,
}

impl TableValue {
    /// Returns all tables of a file.
    pub(super) fn of_file(contents: &FileContents) -> Vec<Self> {
        let number = |index: usize, table: &Table| {
            contents.tables[..index].iter().filter(|one| one.section == table.section).count() + 1
        };
        let value = |(index, table): (usize, &Table)| Self {
            label: format!(
                "[[{}]] {}",
                table.section,
                table.name().unwrap_or_else(|| number(index, table).to_string())
            ),
            text: table.entries.iter().map(Entry::to_text).collect::<Vec<_>>().join(", "),
            line: table.line,
        };
        contents.tables.iter().enumerate().map(value).collect()
    }
}

impl Table {
    /// Returns the text of its key `name`.
    fn name(&self) -> Option<String> {
        let entry = self.entries.iter().find(|entry| entry.setting.key == "name")?;
        Some(entry.values.join(","))
    }
}

impl Entry {
    fn to_text(&self) -> String {
        format!("{} = {}", self.setting.key, shown(self.setting, &self.values))
    }
}
