//! The notes: what a file of throng does not say of what the file of Centrifugo said.

use super::reasons::{ALL, Reason};

/// Characters of a line of a comment, after its `# `.
const WIDTH: usize = 98;

/// What is to be said about keys.
#[derive(Debug)]
enum Note {
    /// A value that cannot be used here: the key, and the value, the rule and what to do.
    Refused(String, String),
    /// Keys that are not translated, for this reason. Whether somebody has to do something.
    Untranslated(String, &'static Reason, bool),
    /// Something that is different.
    Remark(String),
    /// A key that holds in another way: the key, and how.
    Covered(String, String),
    /// A key whose value says that it is not used.
    Off(String),
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Notes(Vec<Note>);

impl Notes {
    /// Adds a value that cannot be used.
    pub(super) fn refuse(&mut self, key: &str, text: impl Into<String>) {
        self.0.push(Note::Refused(key.to_owned(), text.into()));
    }

    /// Adds a key that is not translated, for which the user has to decide what to do.
    pub(super) fn miss(&mut self, key: impl Into<String>, reason: &'static Reason) {
        self.0.push(Note::Untranslated(key.into(), reason, true));
    }

    /// Adds a key that is not translated and that nobody will miss.
    pub(super) fn drop(&mut self, key: impl Into<String>, reason: &'static Reason) {
        self.0.push(Note::Untranslated(key.into(), reason, false));
    }

    /// Adds something that is different.
    pub(super) fn remark(&mut self, text: impl Into<String>) {
        self.0.push(Note::Remark(text.into()));
    }

    /// Adds a key that holds in another way.
    pub(super) fn cover(&mut self, key: &str, text: &str) {
        self.0.push(Note::Covered(key.to_owned(), text.to_owned()));
    }

    /// Adds a key whose value says that it is not used.
    pub(super) fn off(&mut self, key: impl Into<String>) {
        self.0.push(Note::Off(key.into()));
    }

    /// Returns what somebody has to look at, one paragraph each.
    pub(super) fn decisions(&self) -> Vec<String> {
        let single = self.0.iter().filter_map(|note| match note {
            Note::Refused(key, text) => Some(format!("{key}: {text}")),
            Note::Remark(text) => Some(text.clone()),
            _ => None,
        });
        single.chain(self.untranslated(true)).collect()
    }

    /// Returns what nobody has to look at, one paragraph each.
    pub(super) fn others(&self) -> Vec<String> {
        let off = self.0.iter().filter_map(|note| if let Note::Off(key) = note { Some(key.as_str()) } else { None });
        let off = off.collect::<Vec<_>>().join(", ");
        let off = (!off.is_empty()).then(|| format!("{off}: off or empty in the file, so there is nothing to do."));
        let covered = self.0.iter().filter_map(|note| match note {
            Note::Covered(key, text) => Some(format!("{key}: {text}.")),
            _ => None,
        });
        covered.chain(self.untranslated(false)).chain(off).collect()
    }

    /// Returns the keys that are not translated, those with one reason together.
    fn untranslated(&self, is_decision: bool) -> Vec<String> {
        let of = |reason: &Reason| {
            let keys = self.0.iter().filter_map(|note| match note {
                Note::Untranslated(key, its, decision) if *its == reason && *decision == is_decision => {
                    Some(key.as_str())
                }
                _ => None,
            });
            let keys = keys.collect::<Vec<_>>().join(", ");
            (!keys.is_empty()).then(|| format!("{keys}: {}", reason.text))
        };
        ALL.iter().filter_map(|reason| of(reason)).collect()
    }
}

/// Returns a paragraph as an item of a list, in lines that fit.
pub(super) fn item(text: &str) -> Vec<String> {
    let mut lines = vec!["-".to_owned()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().filter(|line| line.chars().count() + 1 + word.chars().count() <= WIDTH);
        match last {
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(format!("  {word}")),
        }
    }
    lines
}
