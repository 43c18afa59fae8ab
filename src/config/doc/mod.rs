//! The documents that are generated from the declarations of the settings: the reference, and a sample file.

mod reference;
mod sample;

pub use reference::reference;
pub use sample::default_file;

use super::root::Config;
use super::section::{Schema, Section};
use super::setting::{Applies, DefaultValue, Kind, Setting};

/// Returns the value of a setting as a file has it, for its default or for nothing.
fn toml_default(setting: &Setting) -> String {
    let default = setting.default_text();
    match setting.kind {
        Kind::Switch | Kind::Number(..) => default.to_owned(),
        Kind::List(_) | Kind::Secrets(_) => {
            let items = default.split(',').filter(|item| !item.is_empty());
            format!("[{}]", items.map(|item| format!("{item:?}")).collect::<Vec<_>>().join(", "))
        }
        Kind::Duration(_) | Kind::Text(_) | Kind::Secret(_) | Kind::Choice(_) => format!("{default:?}"),
    }
}

/// Returns when a changed value takes effect.
fn applies(setting: &Setting) -> &'static str {
    match setting.applies {
        Applies::AtOnce => "at once",
        Applies::NewConnections => "to new connections",
        Applies::NewSubscriptions => "to new subscriptions",
        Applies::Restart => "after a restart",
    }
}

/// Returns the default in words that do not name a value.
fn default_words(setting: &Setting) -> Option<&'static str> {
    match setting.default {
        DefaultValue::Text(_) => None,
        DefaultValue::Computed { words, .. } => Some(words),
        DefaultValue::Unset if setting.kind == Kind::Switch => None,
        DefaultValue::Unset => Some("none"),
    }
}

/// Breaks a text into lines of at most `width` characters.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Returns the heading of a section in the reference.
fn title(section: &Section) -> String {
    if section.name.is_empty() { "Above all sections".to_owned() } else { format!("Section `{}`", section.heading()) }
}

/// Returns the heading of the section whose settings the tables of a list may have too.
fn inherited_from(section: &Section) -> Option<String> {
    let first = section.inherits.first()?;
    let declares = |one: &&Section| one.settings.iter().any(|setting| setting.key == first.key);
    Config::SCHEMA.iter().find(declares).map(Section::heading)
}

/// Sections of the same name, together.
fn by_name(schema: Schema) -> impl Iterator<Item = &'static [Section]> {
    schema.chunk_by(|one, other| one.name == other.name)
}
