//! A document: a configuration file of Centrifugo, in any of the three formats that Centrifugo reads.
//!
//! No error repeats what the file says, since it may be a secret.

use serde_json::{Map, Value};
use serde_saphyr::UserMessageFormatter;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// What the end of a file's name says about its contents.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Format {
    Json,
    Toml,
    Yaml,
}

/// Why a text is not a document: line and column, from 1, and what is wrong.
type Mistake = (Option<(u64, u64)>, String);

/// Reads the settings in a file.
///
/// # Errors
///
/// Names the file, the line and column if there is one, and what to do.
pub(super) fn read(path: &Path) -> Result<Map<String, Value>, String> {
    let name = path.display();
    let format = Format::of(path)
        .ok_or_else(|| format!("{name}: the end of the name tells the format; give .json, .yaml, .yml or .toml"))?;
    let bytes = std::fs::read(path).map_err(|error| format!("{name} cannot be read: {error}"))?;
    let text = String::from_utf8(bytes)
        .map_err(|error| format!("{name}: {} of it is not UTF-8; save it in that encoding", line(&error)))?;
    // Some editors begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    if text.trim().is_empty() {
        return Err(format!("{name} is empty; a Centrifugo that has only defaults is a JSON file with {{}} in it"));
    }
    match format.parse(text) {
        Ok(Value::Object(settings)) => Ok(settings),
        Ok(_) => Err(format!("{name}: there are no keys in it; a configuration is a table of keys and values")),
        Err((Some((line, column)), text)) => Err(format!("{name}:{line}:{column}: {text}")),
        Err((None, text)) => Err(format!("{name}: {text}")),
    }
}

fn line(error: &std::string::FromUtf8Error) -> String {
    let before = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
    format!("line {}", before.filter(|byte| **byte == b'\n').count() + 1)
}

impl Format {
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "json" => Some(Self::Json),
            "toml" => Some(Self::Toml),
            "yaml" | "yml" => Some(Self::Yaml),
            _ => None,
        }
    }

    fn parse(self, text: &str) -> Result<Value, Mistake> {
        match self {
            Self::Json => serde_json::from_str(text).map_err(|error| json_mistake(&error)),
            Self::Toml => parse_toml(text),
            Self::Yaml => parse_yaml(text),
        }
    }
}

fn json_mistake(error: &serde_json::Error) -> Mistake {
    let position = (error.line() as u64, error.column() as u64);
    let text = error.to_string();
    // The position is said already.
    let text = text.split(" at line ").next().unwrap_or_default();
    (Some(position), format!("not JSON: {text}"))
}

fn parse_yaml(text: &str) -> Result<Value, Mistake> {
    // A snippet could show a secret.
    let options = serde_saphyr::options! { with_snippet: false };
    // A file with comments only has no value.
    let value: Option<Value> = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let position = error.location().map(|at| (at.line(), at.column()));
        let text = error.without_snippet().render_with_formatter(&UserMessageFormatter);
        // The position is said already.
        let text = text.split(" at line ").next().unwrap_or_default();
        (position, format!("not YAML: {text}"))
    })?;
    Ok(value.unwrap_or_else(|| Value::Object(Map::new())))
}

fn parse_toml(text: &str) -> Result<Value, Mistake> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if let Some(error) = errors.first() {
        let position = error.span().map(|span| position(text, span.start));
        return Err((position, format!("not TOML: {}", error.message())));
    }
    Ok(from_table(table.get_ref()))
}

/// Returns line and column of a byte.
fn position(text: &str, offset: usize) -> (u64, u64) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line as u64, column as u64)
}

fn from_table(table: &DeTable<'_>) -> Value {
    let entries = table.iter().map(|(key, value)| (key.get_ref().to_string(), from_toml(value.get_ref())));
    Value::Object(entries.collect())
}

fn from_toml(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or_else(|_| number.as_str().into(), Value::from)
        }
        DeValue::Float(number) => number.as_str().parse::<f64>().map_or_else(|_| number.as_str().into(), Value::from),
        DeValue::Boolean(is_on) => Value::Bool(*is_on),
        DeValue::Datetime(time) => Value::String(time.to_string()),
        DeValue::Array(items) => items.iter().map(|item| from_toml(item.get_ref())).collect(),
        DeValue::Table(table) => from_table(table),
    }
}
