//! The name of a namespace.

use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Longest name in bytes: it has room in a channel's name, and in the label of a metric.
const NAME_BYTES_MAX: usize = 64;

/// The name of a namespace.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct NamespaceName(Box<str>);

/// Text that is not the name of a namespace.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum NamespaceNameError {
    /// It has no character, or too many.
    #[error("{text:?} has {} bytes; a namespace has 1 to {NAME_BYTES_MAX}", text.len())]
    Length {
        /// The text.
        text: String,
    },
    /// No channel could belong to it.
    #[error("{text:?} is not a namespace; allowed are ASCII letters, digits and _ . - (the : is not part of it)")]
    Character {
        /// The text.
        text: String,
    },
}

impl NamespaceName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NamespaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for NamespaceName {
    type Err = NamespaceNameError;

    fn from_str(text: &str) -> Result<Self, NamespaceNameError> {
        if text.is_empty() || text.len() > NAME_BYTES_MAX {
            return Err(NamespaceNameError::Length { text: text.to_owned() });
        }
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if !text.bytes().all(is_allowed) {
            return Err(NamespaceNameError::Character { text: text.to_owned() });
        }
        Ok(Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn error_says_what_is_allowed() {
        let error = |text: &str| text.parse::<NamespaceName>().unwrap_err().to_string();
        assert_eq!(error(""), "\"\" has 0 bytes; a namespace has 1 to 64");
        assert_eq!(error(&"n".repeat(65)).split_once("n\" has ").unwrap().1, "65 bytes; a namespace has 1 to 64");
        let rule = "is not a namespace; allowed are ASCII letters, digits and _ . - (the : is not part of it)";
        assert_eq!(error("news:"), format!("\"news:\" {rule}"));
    }

    proptest! {
        #[test]
        fn only_names_that_a_channel_can_begin_with_are_accepted(name in "[a-zA-Z0-9_.:#$@, \u{e9}-]{0,66}") {
            let is_name = !name.is_empty() && name.len() <= 64
                && name.chars().all(|one| one.is_ascii_alphanumeric() || "_.-".contains(one));
            prop_assert_eq!(name.parse::<NamespaceName>().is_ok(), is_name);
        }
    }
}
