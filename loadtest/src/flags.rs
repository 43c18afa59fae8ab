//! Flags: keys of a TOML file as the words of a command line. `clients_low` and `clients-low` are the same flag.

use toml::Value;

/// The flags without a value.
const SWITCHES: [&str; 2] = ["quiet", "server-syscalls"];

/// Returns the name of the flag of a key, without leading dashes.
pub(crate) fn name(key: &str) -> String {
    key.replace('_', "-")
}

/// Returns the words of a key and its value; nothing if no flag takes such a value.
pub(crate) fn words(key: &str, value: &Value) -> Option<Vec<String>> {
    let flag = format!("--{}", name(key));
    match value {
        Value::String(text) => Some(vec![format!("{flag}={text}")]),
        Value::Integer(number) => Some(vec![format!("{flag}={number}")]),
        Value::Float(number) => Some(vec![format!("{flag}={number}")]),
        Value::Boolean(true) => Some(vec![flag]),
        Value::Boolean(false) if SWITCHES.contains(&name(key).as_str()) => Some(Vec::new()),
        // Not silently: the command line says that this is no value of the flag.
        Value::Boolean(false) => Some(vec![format!("{flag}=false")]),
        Value::Array(values) => {
            let words: Option<Vec<_>> = values.iter().map(|value| words(key, value)).collect();
            words.map(|words| words.into_iter().flatten().collect())
        }
        Value::Datetime(_) | Value::Table(_) => None,
    }
}
