//! A setting: everything that is known of one value that an operator may choose, declared once.
//!
//! The section's field declares it with [`section!`](super::section). From this declaration follow the key and the type
//! in a file, the variable, the flag and its help, the range check, what a reload does, and the documents.

use super::size;
use super::value::ValueError;
use std::time::Duration;

/// A second in nanoseconds, the unit of the ranges of durations.
pub const SECOND: u64 = 1_000_000_000;

/// A day in nanoseconds: the longest time that may be waited for, so that adding it to a clock never overflows.
pub const DAY: u64 = 24 * 3600 * SECOND;

/// One value that an operator may choose.
#[derive(Debug)]
pub struct Setting {
    /// Key in a file; the flag is `--` and the key with dashes, the variable `THRONG_` and the key in capitals.
    pub key: &'static str,
    /// Lines of the doc comment: a paragraph that says what it is and what happens at the limit, then the reasons.
    pub help: &'static [&'static str],
    /// Type, unit and range.
    pub kind: Kind,
    /// Value when nothing is given.
    pub default: DefaultValue,
    /// When a changed value takes effect.
    pub applies: Applies,
    /// Checks that a text is a value of the field's type, without the range.
    pub parse: fn(&str) -> Result<Option<u64>, ValueError>,
}

/// Type of a setting, with the unit and the range of a quantity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `true` or `false`.
    Switch,
    /// A whole number.
    Number(Unit, Range),
    /// A time, written as `54s`; the range is in nanoseconds.
    Duration(Range),
    /// A text, with the word for what it is.
    Text(&'static str),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Several texts, with the word for what they are.
    List(&'static str),
    /// Several texts that are never shown.
    Secrets(&'static str),
    /// A text that is never shown, with the word for what it is.
    Secret(&'static str),
}

/// Unit of a number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unit {
    /// Things that are counted.
    Count(&'static str),
    /// Things that are counted, per second.
    PerSecond(&'static str),
    /// Bytes.
    Bytes,
    /// Bytes per second.
    BytesPerSecond,
}

/// Values that a quantity may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Range {
    /// Smallest value.
    pub min: u64,
    /// Largest value; `u64::MAX` for no limit.
    pub max: u64,
    /// Zero is allowed too, and turns the setting off.
    pub has_off: bool,
    /// Why not more or less, or what to write instead.
    pub advice: &'static str,
}

/// Value of a setting that is not given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DefaultValue {
    /// This text, as a command line would have it; a list is separated by commas.
    Text(&'static str),
    /// A value that depends on the machine.
    Computed {
        /// What stands for it on a command line; empty when nothing does.
        text: &'static str,
        /// How it is found.
        words: &'static str,
    },
    /// Nothing.
    Unset,
}

/// When a changed value takes effect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Applies {
    /// With a reload, for open connections too.
    AtOnce,
    /// With a reload, for connections that come after it.
    NewConnections,
    /// With a reload, for subscriptions and publications that come after it.
    NewSubscriptions,
    /// After a restart.
    Restart,
}

impl Setting {
    /// Returns the flag without its dashes.
    pub fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// Returns the name of the environment variable.
    pub fn variable(&self) -> String {
        format!("THRONG_{}", self.key.to_uppercase())
    }

    /// Returns the paragraphs of the help text: what it is, then the reasons.
    pub fn paragraphs(&self) -> Vec<String> {
        let paragraphs = self.help.split(|line| line.trim().is_empty());
        paragraphs.map(|lines| lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")).collect()
    }

    /// Returns the default as a command line would have it; empty when nothing stands for it.
    pub fn default_text(&self) -> &'static str {
        match self.default {
            DefaultValue::Text(text) | DefaultValue::Computed { text, .. } => text,
            DefaultValue::Unset if self.kind == Kind::Switch => "false",
            DefaultValue::Unset => "",
        }
    }

    /// Checks that a text is a value, and in range.
    ///
    /// # Errors
    ///
    /// [`ValueError`] names the value and the rule.
    pub fn check(&self, text: &str) -> Result<(), ValueError> {
        let quantity = (self.parse)(&self.plain(text)?)?;
        self.kind.check(quantity)
    }

    /// Returns a text as the field's type reads it: without white space at its ends and without units of bytes.
    ///
    /// # Errors
    ///
    /// [`ValueError::Size`] when it is not a size.
    pub fn plain(&self, text: &str) -> Result<String, ValueError> {
        let text = text.trim();
        match self.kind {
            Kind::Number(Unit::Bytes | Unit::BytesPerSecond, _) => {
                let bytes = size::parse(text).ok_or_else(|| ValueError::Size { text: text.to_owned() })?;
                Ok(bytes.to_string())
            }
            // Grouped as in the file.
            Kind::Number(..) if !text.starts_with('_') => Ok(text.replace('_', "")),
            _ => Ok(text.to_owned()),
        }
    }

    /// Returns the items of a text as variables and flags have them: a list is separated by commas, and neither white
    /// space around an item nor an empty item counts.
    pub fn items(&self, text: &str) -> Vec<String> {
        if !self.kind.is_list() {
            return vec![text.trim().to_owned()];
        }
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }
}

impl Kind {
    /// Checks that a quantity is in range; what is no quantity always is.
    ///
    /// # Errors
    ///
    /// [`ValueError::Range`] names the value and the range.
    pub fn check(self, quantity: Option<u64>) -> Result<(), ValueError> {
        let (Self::Number(_, range) | Self::Duration(range), Some(value)) = (self, quantity) else { return Ok(()) };
        let is_off = range.has_off && value == 0;
        if is_off || (range.min..=range.max).contains(&value) {
            return Ok(());
        }
        Err(ValueError::Range { value: self.show(value), range: self.show_range(), advice: range.advice })
    }

    /// Returns the range in words, empty when there is none: `between 1 and 64`.
    pub fn show_range(self) -> String {
        let (Self::Number(_, range) | Self::Duration(range)) = self else { return String::new() };
        match range {
            Range { min: 0, max: u64::MAX, .. } => String::new(),
            Range { min, max: u64::MAX, .. } => format!("at least {}", self.show(min)),
            Range { min, max, .. } => format!("between {} and {}", self.show(min), self.show(max)),
        }
    }

    fn show(self, quantity: u64) -> String {
        match self {
            Self::Duration(_) => humantime::format_duration(Duration::from_nanos(quantity)).to_string(),
            _ => quantity.to_string(),
        }
    }

    /// Returns the type in words: `list of addresses`, `bytes/s`, `close | skip`.
    pub fn name(self) -> String {
        match self {
            Self::Switch => "true | false".to_owned(),
            Self::Number(Unit::Count(things), _) => format!("number of {things}"),
            Self::Number(Unit::PerSecond(things), _) => format!("{things}/s"),
            Self::Number(Unit::Bytes, _) => "bytes".to_owned(),
            Self::Number(Unit::BytesPerSecond, _) => "bytes/s".to_owned(),
            Self::Duration(_) => "duration".to_owned(),
            Self::Text(what) | Self::Secret(what) => what.to_owned(),
            Self::Choice(words) => words.join(" | "),
            Self::List(items) | Self::Secrets(items) => format!("list of {items}"),
        }
    }

    /// Returns the placeholder of a value in `--help`.
    pub fn placeholder(self) -> String {
        match self {
            Self::Switch => "BOOL".to_owned(),
            Self::Number(Unit::Count(_) | Unit::PerSecond(_), _) => "N".to_owned(),
            Self::Number(Unit::Bytes | Unit::BytesPerSecond, _) => "BYTES".to_owned(),
            Self::Duration(_) => "DURATION".to_owned(),
            Self::Text(what) | Self::Secret(what) => what.replace(' ', "_").to_uppercase(),
            Self::Choice(words) => words.join("|"),
            Self::List(items) | Self::Secrets(items) => format!("{},...", singular(items).to_uppercase()),
        }
    }

    /// Returns whether a value is several texts.
    pub fn is_list(self) -> bool {
        matches!(self, Self::List(_) | Self::Secrets(_))
    }
}

impl Range {
    /// Returns the range with zero for "off".
    const fn with_off(self) -> Self {
        Self { has_off: true, ..self }
    }
}

fn singular(items: &str) -> &str {
    items.strip_suffix("es").filter(|stem| stem.ends_with("ss")).or_else(|| items.strip_suffix('s')).unwrap_or(items)
}

/// A number of things.
pub const fn count(things: &'static str, min: u64, max: u64) -> Kind {
    Kind::Number(Unit::Count(things), Range { min, max, has_off: false, advice: "" })
}

/// A number of things per second.
pub const fn rate(things: &'static str, min: u64, max: u64) -> Kind {
    Kind::Number(Unit::PerSecond(things), Range { min, max, has_off: false, advice: "" })
}

/// A number of bytes.
pub const fn bytes(min: u64, max: u64) -> Kind {
    Kind::Number(Unit::Bytes, Range { min, max, has_off: false, advice: "" })
}

/// A number of bytes, or zero, which stands for the default.
pub const fn bytes_or_default(min: u64, max: u64, advice: &'static str) -> Kind {
    Kind::Number(Unit::Bytes, Range { min, max, has_off: false, advice }.with_off())
}

/// A number of bytes per second.
pub const fn byte_rate(min: u64, max: u64) -> Kind {
    Kind::Number(Unit::BytesPerSecond, Range { min, max, has_off: false, advice: "" })
}

/// A time between two, given as nanoseconds.
pub const fn duration(min: u64, max: u64, advice: &'static str) -> Kind {
    Kind::Duration(Range { min, max, has_off: false, advice })
}

/// A time between two, or zero, which turns the setting off.
pub const fn duration_or_off(min: u64, max: u64, advice: &'static str) -> Kind {
    Kind::Duration(Range { min, max, has_off: false, advice }.with_off())
}

/// A time after which a connection is closed.
pub const fn deadline() -> Kind {
    duration(SECOND / 1000, DAY, "0s would end every connection at once, and a day is as good as no limit")
}

/// A default that is written as on a command line.
pub const fn text(text: &'static str) -> DefaultValue {
    DefaultValue::Text(text)
}

/// A default that depends on the machine.
pub const fn computed(text: &'static str, words: &'static str) -> DefaultValue {
    DefaultValue::Computed { text, words }
}
