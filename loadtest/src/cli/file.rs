//! A scenario file: TOML whose keys are the flags of a scenario, turned into the words of a command line.
//!
//! So a key is known exactly if its flag is, and a wrong one is refused with the same words and the same suggestion.

use crate::flags;
use std::io;
use std::path::Path;
use thiserror::Error;
use toml::{Table, Value};

/// Why a scenario file is refused.
#[derive(Debug, Error)]
pub(super) enum FileError {
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error("{}", .0.to_string().trim_end())]
    Toml(#[from] toml::de::Error),
    #[error("names no scenario; begin it with scenario = \"fanout\" or another one that `loadtest --help` lists")]
    NoScenario,
    #[error("{key} is a {kind}, which no flag takes")]
    NoFlag { key: String, kind: &'static str },
    #[error("is no scenario; begin it with scenario = \"fanout\" or another one")]
    OtherAction,
}

/// Reads a file and returns the words: the scenario, then its flags.
///
/// # Errors
///
/// Fails when the file cannot be read, is not TOML, or names no scenario.
pub(super) fn words(path: &Path) -> Result<Vec<String>, FileError> {
    let table: Table = std::fs::read_to_string(path)?.parse()?;
    let scenario = table.get("scenario").and_then(Value::as_str).ok_or(FileError::NoScenario)?;
    let mut words = vec![scenario.to_owned()];
    for (key, value) in table.iter().filter(|(key, _)| *key != "scenario") {
        let flag = flags::words(key, value);
        words.extend(flag.ok_or_else(|| FileError::NoFlag { key: key.clone(), kind: value.type_str() })?);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words_of(text: &str) -> Result<Vec<String>, FileError> {
        // Tests run at the same time, each with a file of its own.
        let name = format!("loadtest-words-{}-{:?}.toml", std::process::id(), std::thread::current().id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        let words = words(&path);
        std::fs::remove_file(path).unwrap();
        words
    }

    #[test]
    fn keys_are_flags() {
        let words = words_of(
            "connect_rate = 9\nrate = 2.5\nscenario = 'fanout'\nquiet = true\nassert = ['p99<5ms', 'lost=0']\n",
        )
        .unwrap();
        assert_eq!(words[0], "fanout");
        for word in ["--connect-rate=9", "--rate=2.5", "--quiet", "--assert=p99<5ms", "--assert=lost=0"] {
            assert!(words.contains(&word.to_owned()), "{words:?} lacks {word}");
        }
    }

    #[test]
    fn bad_files_are_refused_with_the_reason() {
        assert!(words_of("rate = 1").unwrap_err().to_string().contains("names no scenario"));
        assert!(words_of("scenario = ").unwrap_err().to_string().contains("line 1"));
        assert!(words_of("scenario = 'idle'\n[server]\nx = 1").unwrap_err().to_string().contains("server is a table"));
    }
}
