//! A key of Centrifugo: its names in each generation of files, and what becomes of it.

use super::reasons::Reason;

/// A key of Centrifugo, or all keys that begin alike.
#[derive(Debug)]
pub(super) struct Key {
    /// Its path in a file of v6, empty if v6 does not have it. `.*` at the end stands for everything below it.
    pub(super) v6: &'static str,
    /// Its names in a file of v5, none if v5 does not have it. `*` at the end stands for any rest.
    pub(super) v5: &'static [&'static str],
    /// What becomes of it.
    pub(super) fate: Fate,
}

/// What becomes of a key.
#[derive(Debug)]
pub(super) enum Fate {
    /// One setting has its value.
    Setting(One),
    /// It decides together with others. Holds what they decide, in Markdown.
    Part(&'static str),
    /// The hub always behaves as with this value, for this reason.
    Fixed(&'static str, &'static Reason),
    /// There is no such thing, and nobody will miss it.
    Unneeded(&'static Reason),
    /// There is no such thing, and the user has to decide what to do.
    Missing(&'static Reason),
}

/// A setting that has the value of a key.
#[derive(Debug)]
pub(super) struct One {
    /// Key of the setting.
    pub(super) setting: &'static str,
    /// How the value is read.
    pub(super) read: Read,
    /// What Centrifugo does without the key, if the setting's own default is another.
    pub(super) default: Option<&'static str>,
}

/// How a value is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Read {
    /// A Go duration.
    Duration,
    /// A whole number.
    Number,
    /// A whole number, 0 for no limit.
    Limit,
    /// A level of the log.
    Level,
}

pub(super) const fn key(v6: &'static str, v5: &'static [&'static str], fate: Fate) -> Key {
    Key { v6, v5, fate }
}

pub(super) const fn setting(setting: &'static str, read: Read, default: Option<&'static str>) -> Fate {
    Fate::Setting(One { setting, read, default })
}

impl Key {
    /// Returns whether a path of a file of v6 is meant.
    fn is_v6(&self, path: &str) -> bool {
        is_match(self.v6, path)
    }

    /// Returns whether a path of a file of v5 is meant.
    fn is_v5(&self, path: &str) -> bool {
        self.v5.iter().any(|pattern| is_match(pattern, path))
    }
}

/// Returns whether a path is the one that a pattern names, or one of those.
fn is_match(pattern: &str, path: &str) -> bool {
    if let Some(folder) = pattern.strip_suffix(".*") {
        return path.strip_prefix(folder).is_some_and(|rest| rest.starts_with(['.', '[']));
    }
    match pattern.strip_suffix('*') {
        Some(start) => path.starts_with(start),
        None => !pattern.is_empty() && path == pattern,
    }
}

/// How a file is written: Centrifugo changed all keys with v6.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Dialect {
    /// Flat keys.
    V5,
    /// Nested keys.
    V6,
}

impl Dialect {
    /// Returns its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::V5 => "v5",
            Self::V6 => "v6",
        }
    }

    /// Returns the other one.
    pub(super) const fn other(self) -> Self {
        match self {
            Self::V5 => Self::V6,
            Self::V6 => Self::V5,
        }
    }

    /// Returns whether a key is the one that a path of a file, or of a table in it, means.
    pub(super) fn is_meant(self, key: &Key, path: &str) -> bool {
        match self {
            Self::V5 => key.is_v5(path),
            Self::V6 => key.is_v6(path),
        }
    }
}
