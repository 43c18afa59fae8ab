//! Values as Go reads them: Centrifugo takes `"true"` for true and `"8000"` for 8000, and has durations of its own.

use serde_json::Value;
use std::time::Duration;

/// Units of Go's durations, in nanoseconds.
const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Most digits of a number with a unit; more are longer than any time that is meant.
const DIGITS_MAX: usize = 18;

/// Returns whether a value is Go's zero value, which stands for "not set".
pub(super) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => ["", "0", "0s", "false"].contains(&text.trim()),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
    }
}

/// Reads a switch.
pub(super) fn switch(value: &Value) -> Result<bool, String> {
    match value {
        Value::Null => Ok(false),
        Value::Bool(is_on) => Ok(*is_on),
        Value::Number(number) => Ok(number.as_f64() != Some(0.0)),
        Value::String(text) => match text.as_str() {
            "" | "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
            "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
            _ => Err(format!("{text:?} is not true or false")),
        },
        Value::Array(_) | Value::Object(_) => Err("a list or a table is not true or false".to_owned()),
    }
}

/// Reads a whole number that is not negative.
pub(super) fn number(value: &Value) -> Result<u64, String> {
    let number = match value {
        Value::Null => Some(0),
        Value::Number(number) => number.as_u64(),
        Value::String(text) if text.is_empty() => Some(0),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| format!("{value} is not a whole number from 0 on"))
}

/// Reads a text.
pub(super) fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        // The value may be a secret.
        _ => Err("the value is not a text".to_owned()),
    }
}

/// Reads a list of texts. One text is a list separated by white space.
pub(super) fn list(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => items.iter().map(text).collect(),
        Value::String(text) => Ok(text.split_whitespace().map(str::to_owned).collect()),
        _ => Err("the value is not a list of texts".to_owned()),
    }
}

/// Reads a duration.
pub(super) fn duration(value: &Value) -> Result<Duration, String> {
    let rule = |text: &str| format!("{text} is not a duration of Go such as 25s, 1m30s or 300ms");
    match value {
        Value::Null => Ok(Duration::ZERO),
        Value::Number(number) if number.as_i64() == Some(0) => Ok(Duration::ZERO),
        Value::Number(number) if number.as_f64().is_some_and(|number| number < 0.0) => Err(negative(value)),
        Value::Number(_) => Err(format!(
            "{value} has no unit, and Go reads it as nanoseconds; write {value:?} with its unit, as in \"25s\"",
            value = value.to_string().trim_matches('"')
        )),
        Value::String(text) if text.trim().starts_with('-') => Err(negative(value)),
        Value::String(text) => parse(text.trim()).ok_or_else(|| rule(&format!("{text:?}"))),
        _ => Err(rule("a list, a table or a switch")),
    }
}

fn negative(value: &Value) -> String {
    format!("{value} turns it off, which is not possible here")
}

/// Reads the text of a duration: numbers, each with its unit.
fn parse(text: &str) -> Option<Duration> {
    if text.is_empty() || text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut nanoseconds = 0_u128;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len()));
        let (_, unit) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + fraction.len() == 0 || whole.len() > DIGITS_MAX || fraction.len() > DIGITS_MAX {
            return None;
        }
        let digits = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<u128>().ok() };
        let parts = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
        nanoseconds += digits(whole)? * unit + digits(fraction)? * unit / parts;
        rest = after;
    }
    Some(Duration::from_nanos(u64::try_from(nanoseconds).ok()?))
}

/// Returns a duration as a file of throng has it.
pub(super) fn written(duration: Duration) -> String {
    humantime::format_duration(duration).to_string().replace(' ', "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Go knows no days, and humantime no fractions; every duration has to come out as it was meant.
    #[test]
    fn durations_are_read_as_go_reads_them_and_written_as_throng_reads_them() {
        for (given, milliseconds) in [
            (json!("25s"), 25_000),
            (json!("1.5s"), 1_500),
            (json!(".5s"), 500),
            (json!("1h30m"), 5_400_000),
            (json!("720h"), 2_592_000_000),
            (json!("1m0.25s"), 60_250),
            (json!("+3ms"), 3),
            (json!("0"), 0),
            (json!(""), 0),
            (json!(0), 0),
        ] {
            let read = duration(&given).unwrap();
            assert_eq!(read, Duration::from_millis(milliseconds), "{given}");
            assert_eq!(humantime::parse_duration(&written(read)), Ok(read), "{given}");
        }
        for given in ["25", "s", "1d", "1.2.3s", ".s", "1 s", "25 seconds", "9999999999999999999h", "999999999999h"] {
            let error = duration(&json!(given)).unwrap_err();
            assert!(error.contains(given) && error.contains("such as 25s"), "{error}");
        }
        assert!(duration(&json!(60)).unwrap_err().contains("60 has no unit, and Go reads it as nanoseconds"));
        for given in [json!(-1), json!("-1"), json!("-1s")] {
            assert!(duration(&given).unwrap_err().ends_with("turns it off, which is not possible here"), "{given}");
        }
    }

    #[test]
    fn switches_numbers_and_lists_may_be_texts() {
        assert_eq!((switch(&json!("true")), switch(&json!(0)), switch(&json!("f"))), (Ok(true), Ok(false), Ok(false)));
        assert!(switch(&json!("yes")).unwrap_err().contains("\"yes\" is not true or false"));
        assert_eq!((number(&json!("8000")), number(&json!(""))), (Ok(8000), Ok(0)));
        assert!(number(&json!(-1)).is_err() && number(&json!(1.5)).is_err() && number(&json!([])).is_err());
        assert_eq!(list(&json!("a  b")), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert!(list(&json!([{}])).is_err() && list(&json!(true)).is_err());
    }
}
