//! A conversion: what is read, what is made of it, and what is to be said about it.

use super::draft::{Draft, Literal};
use super::given::Given;
use super::go;
use super::key::{Fate, Key};
use super::notes::Notes;
use super::proxy::Proxies;
use super::source::{Leaf, Source};
use serde_json::Value;
use std::time::Duration;

/// Where a value comes from that the file does not have.
pub(super) const DEFAULT: &str = "default of Centrifugo";

/// A conversion of one file.
#[derive(Debug)]
pub(super) struct Conversion {
    pub(super) source: Source,
    pub(super) draft: Draft,
    pub(super) notes: Notes,
    pub(super) proxies: Proxies,
}

impl Conversion {
    pub(super) fn new(source: Source) -> Self {
        Self { source, draft: Draft::default(), notes: Notes::default(), proxies: Proxies::default() }
    }

    /// Reads a key. Go's zero value counts as not given; a value of another type is reported.
    fn read<T>(&mut self, path: &str, read: fn(&Value) -> Result<T, String>) -> Option<Given<T>> {
        let Leaf { name, value, .. } = self.source.take(path)?;
        if go::is_zero(&value) {
            self.notes.off(name);
            return None;
        }
        match read(&value) {
            Ok(value) => Some(Given { value, name }),
            Err(error) => {
                self.notes.refuse(&name, error);
                None
            }
        }
    }

    /// Returns whether a switch is on, and its name if it is.
    pub(super) fn switch(&mut self, path: &str) -> Option<Given<bool>> {
        self.read(path, go::switch)
    }

    pub(super) fn number(&mut self, path: &str) -> Option<Given<u64>> {
        self.read(path, go::number)
    }

    pub(super) fn text(&mut self, path: &str) -> Option<Given<String>> {
        self.read(path, go::text)
    }

    pub(super) fn list(&mut self, path: &str) -> Option<Given<Vec<String>>> {
        self.read(path, go::list)
    }

    pub(super) fn duration(&mut self, path: &str) -> Option<Given<Duration>> {
        self.read(path, go::duration)
    }

    /// Sets a setting, or reports that it does not take the value. Returns whether it is set.
    pub(super) fn set(&mut self, setting: &str, value: Literal, from: &str) -> bool {
        let error = self.draft.set(setting, value, from).err();
        if let Some(error) = &error {
            self.notes.refuse(from, format!("{setting}: {error}. It is left out."));
        }
        error.is_none()
    }

    /// Reports every key that nothing has used.
    pub(super) fn finish(&mut self) {
        let Self { source, notes, .. } = self;
        let dialect = source.dialect;
        for leaf in std::mem::replace(source, Source::empty(dialect)).into_rest() {
            match leaf.key {
                _ if leaf.key.is_some() && go::is_zero(&leaf.value) => notes.off(leaf.name),
                Some(key) => report(key, &leaf, notes),
                None => notes.refuse(&leaf.name, dialect.unknown(&leaf.name)),
            }
        }
    }
}

/// Reports a key that nothing has used.
fn report(key: &Key, leaf: &Leaf, notes: &mut Notes) {
    match &key.fate {
        Fate::Fixed(value, _) if is_same(&leaf.value, value) => {}
        Fate::Fixed(value, reason) => notes.miss(format!("{} (here always {value})", leaf.name), reason),
        Fate::Missing(reason) => notes.miss(&leaf.name, reason),
        Fate::Unneeded(reason) => notes.drop(&leaf.name, reason),
        Fate::Setting(_) | Fate::Part(_) => {
            notes.refuse(&leaf.name, "its value is not of the type that Centrifugo expects, or the key is there twice");
        }
    }
}

/// Returns whether a value is the one that always holds here.
fn is_same(value: &Value, fixed: &str) -> bool {
    let is_equal = go::text(value).is_ok_and(|text| text == fixed);
    is_equal || go::duration(value).is_ok_and(|given| go::duration(&fixed.into()) == Ok(given))
}

/// Joins the names of the keys that are given, for the comment after what they decide.
pub(super) fn names<'a>(names: impl IntoIterator<Item = Option<&'a str>>) -> String {
    let names: Vec<_> = names.into_iter().flatten().collect();
    if names.is_empty() { DEFAULT.to_owned() } else { names.join(", ") }
}
