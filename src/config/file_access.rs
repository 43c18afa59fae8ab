//! Access to a file that the hub makes: its mode, and its owner.

use std::fs;
use std::str::FromStr;
use thiserror::Error;

/// Permission bits of a file, written in octal as `660`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FileMode(u32);

/// Text that is not the mode of a file.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{text:?} is not a mode in octal digits such as 660 or 0666")]
pub struct FileModeError {
    text: String,
}

impl FileMode {
    /// Returns the permission bits.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl FromStr for FileMode {
    type Err = FileModeError;

    fn from_str(text: &str) -> Result<Self, FileModeError> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let is_octal = (3..=4).contains(&digits.len()) && digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
        let bits = u32::from_str_radix(digits, 8).ok().filter(|bits| is_octal && *bits <= 0o777);
        bits.map(Self).ok_or_else(|| FileModeError { text: text.to_owned() })
    }
}

/// User and group of a file, written as for `chown`: `USER`, `USER:GROUP` or `:GROUP`, by name or number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FileOwner {
    /// Number of the user; `None` to leave it.
    pub user: Option<u32>,
    /// Number of the group; `None` to leave it.
    pub group: Option<u32>,
}

/// Text that is not the owner of a file.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum FileOwnerError {
    /// The text has the wrong shape.
    #[error("{text:?} is not USER, USER:GROUP or :GROUP")]
    Shape {
        /// The text.
        text: String,
    },
    /// This machine does not know a name.
    #[error("there is no {kind} {name:?} in {file}; give another one, or a number")]
    Unknown {
        /// `user` or `group`.
        kind: &'static str,
        /// The name.
        name: String,
        /// The file that has all names.
        file: &'static str,
    },
}

impl FromStr for FileOwner {
    type Err = FileOwnerError;

    fn from_str(text: &str) -> Result<Self, FileOwnerError> {
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        if (user.is_empty() && group.is_empty()) || group.contains(':') {
            return Err(FileOwnerError::Shape { text: text.to_owned() });
        }
        Ok(Self { user: number("user", user, "/etc/passwd")?, group: number("group", group, "/etc/group")? })
    }
}

/// Returns the number of a user or group; `None` for an empty name.
fn number(kind: &'static str, name: &str, file: &'static str) -> Result<Option<u32>, FileOwnerError> {
    if name.is_empty() {
        return Ok(None);
    }
    if let Ok(number) = name.parse::<u32>() {
        // The largest number means "leave it" to the kernel.
        return Ok(Some(number).filter(|number| *number != u32::MAX));
    }
    let table = fs::read_to_string(file).unwrap_or_default();
    let entry = table.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)).flatten()
    });
    match entry.and_then(|number| number.parse().ok()) {
        Some(number) => Ok(Some(number)),
        None => Err(FileOwnerError::Unknown { kind, name: name.to_owned(), file }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mode_is_octal_and_permissions_only() {
        for (text, bits) in [("660", 0o660), ("0666", 0o666), ("0o700", 0o700), ("000", 0)] {
            assert_eq!(text.parse::<FileMode>().map(FileMode::bits), Ok(bits), "{text}");
        }
        for text in ["", "66", "0888", "rw-rw----", "4755", "1777", "+660", "00660"] {
            assert!(text.parse::<FileMode>().is_err(), "{text}");
        }
    }

    #[test]
    fn owner_is_read_as_chown_reads_it() {
        let owner = |text: &str| text.parse::<FileOwner>().map(|owner| (owner.user, owner.group));
        assert_eq!(owner("root"), Ok((Some(0), None)));
        assert_eq!(owner(":0"), Ok((None, Some(0))));
        assert_eq!(owner("33:root"), Ok((Some(33), Some(0))));
        for text in ["", ":", "a:b:c"] {
            assert!(
                matches!(owner(text), Err(FileOwnerError::Shape { .. } | FileOwnerError::Unknown { .. })),
                "{text}"
            );
        }
        let unknown = owner(":no-such-group").unwrap_err().to_string();
        assert_eq!(unknown, "there is no group \"no-such-group\" in /etc/group; give another one, or a number");
    }
}
