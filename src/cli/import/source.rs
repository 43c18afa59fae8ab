//! The source: the keys of a file of Centrifugo by their paths in v6, and which of them nothing has used yet.

use super::go;
use super::key::{Dialect, Key};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A key of a file, with its value.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    /// Its path as the file has it.
    pub(super) name: String,
    /// Its value. It may be a secret.
    pub(super) value: Value,
    /// What it means.
    pub(super) key: Option<&'static Key>,
}

/// The keys of a file.
#[derive(Debug)]
pub(super) struct Source {
    /// How the file is written.
    pub(super) dialect: Dialect,
    /// What nothing has used yet.
    leaves: BTreeMap<String, Leaf>,
    /// How many keys there were.
    pub(super) count: usize,
}

impl Source {
    /// Takes the settings of a file apart. Returns `None` if no key is one of Centrifugo.
    pub(super) fn new(settings: &Map<String, Value>) -> Option<Self> {
        let mut flat = Vec::new();
        flatten("", settings, &mut flat);
        let known = |dialect: Dialect| flat.iter().filter(|(name, value)| find(dialect, name, value).is_some()).count();
        let dialect = if known(Dialect::V5) > known(Dialect::V6) { Dialect::V5 } else { Dialect::V6 };
        if known(dialect) == 0 && !flat.is_empty() {
            return None;
        }
        let mut leaves = BTreeMap::new();
        let count = flat.len();
        for (name, value) in flat {
            let (key, path) = find(dialect, &name, &value).unzip();
            let mut path = path.unwrap_or_else(|| name.to_lowercase());
            // Two names of one key: neither may get lost.
            while leaves.contains_key(&path) {
                path.push('\'');
            }
            leaves.insert(path, Leaf { name, value, key });
        }
        Some(Self { dialect, leaves, count })
    }

    /// Makes one without keys.
    pub(super) const fn empty(dialect: Dialect) -> Self {
        Self { dialect, leaves: BTreeMap::new(), count: 0 }
    }

    /// Returns a key, by its path in v6, which counts as used from now on.
    pub(super) fn take(&mut self, path: &str) -> Option<Leaf> {
        self.leaves.remove(path)
    }

    /// Returns all keys whose paths begin so, each with its path. They count as used from now on.
    pub(super) fn take_all(&mut self, start: &str) -> BTreeMap<String, Leaf> {
        let (taken, rest) = std::mem::take(&mut self.leaves).into_iter().partition(|(path, _)| path.starts_with(start));
        self.leaves = rest;
        taken
    }

    /// Returns the name of a key that nothing has used, if its value is not Go's zero value.
    pub(super) fn name_of(&self, path: &str) -> Option<String> {
        self.leaves.get(path).filter(|_| self.is_on(path)).map(|leaf| leaf.name.clone())
    }

    /// Returns whether a key that nothing has used has a value other than Go's zero value.
    pub(super) fn is_on(&self, path: &str) -> bool {
        self.leaves.get(path).is_some_and(|leaf| !go::is_zero(&leaf.value))
    }

    /// Returns how many tables a list has.
    pub(super) fn tables(&self, list: &str) -> usize {
        let start = format!("{list}[");
        let numbers = self.leaves.keys().filter_map(|path| path.strip_prefix(&start)?.split(']').next()?.parse().ok());
        numbers.max().map_or(0, |last: usize| last + 1)
    }

    /// Returns what nothing has used.
    pub(super) fn into_rest(self) -> impl Iterator<Item = Leaf> {
        self.leaves.into_values()
    }
}

/// Finds what a key means. Centrifugo does not tell capitals from small letters.
fn find(dialect: Dialect, name: &str, value: &Value) -> Option<(&'static Key, String)> {
    let path = name.to_lowercase();
    let is_list = value.is_array();
    dialect.find(&path).or_else(|| is_list.then(|| dialect.find(&format!("{path}[]"))).flatten())
}

/// Lists the values of a table and of all tables in it, with their paths.
fn flatten(before: &str, table: &Map<String, Value>, flat: &mut Vec<(String, Value)>) {
    for (name, value) in table {
        let path = if before.is_empty() { name.clone() } else { format!("{before}.{name}") };
        flatten_value(path, value, flat);
    }
}

fn flatten_value(path: String, value: &Value, flat: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(table) => flatten(&path, table, flat),
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (number, item) in items.iter().enumerate() {
                flatten_value(format!("{path}[{number}]"), item, flat);
            }
        }
        _ => flat.push((path, value.clone())),
    }
}
