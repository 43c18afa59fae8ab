//! The documents that are made from the settings: a commented file to begin with, and the reference.

use super::file::{Shape, section, settings, shape};
use super::{Config, reload};
use clap::{Arg, ArgAction, CommandFactory};
use std::fmt::Write;

/// Columns of a line of the commented file.
const WIDTH: usize = 100;

/// What the reference begins with.
const PREFACE: &str = "\
# Configuration

Made by `throng config-doc` from the definitions of the settings; a test holds it to them.

A setting stands in a TOML file (`--config FILE` or `THRONG_CONFIG`), in a variable, or is a flag, in order of
increasing strength: `ping_interval` in `[limits]`, `THRONG_PING_INTERVAL`, `--ping-interval`. Times are written `54s`,
`1m30s`, `300us`; sizes are bytes. `throng default-config` prints a file to begin with; `throng check-config FILE` says
what is wrong with one, and where. `SIGHUP` reads file and variables again: what a reload takes holds at once, for who
is connected and for who comes; the rest is named in the log and waits for a restart. A reload that can not be used
changes nothing.
";

/// What each table of it begins with.
const TABLE: &str = "\
| key | default | unit | taken by | what it does, why, and what happens at the limit |
|---|---|---|---|---|
";

/// Returns a file with every setting at its default, commented out: what is not said follows the program's defaults.
pub fn default_file() -> String {
    let mut file = String::from(
        "# throng: every setting, at its default. Take the '#' away from what you change.\n\
         # A variable THRONG_KEY beats this file, a flag --key beats both. `throng check-config FILE` checks it.\n",
    );
    let mut heading = String::new();
    for arg in ordered() {
        if section(&arg) != heading {
            heading = section(&arg);
            // Writing to a string does not fail, here and below.
            let _ = write!(file, "\n[{heading}]\n");
        }
        file.push('\n');
        for line in wrap(&format!("{}.", help(&arg))) {
            let _ = writeln!(file, "# {line}");
        }
        let _ = writeln!(file, "# {}{}", unit_of(&arg), reach_of(&arg));
        let _ = writeln!(file, "# {} = {}", arg.get_id(), toml_default(&arg));
    }
    file
}

/// Returns the reference: every setting, its default, how it is given, what it does and what happens at the limit.
pub fn reference() -> String {
    let mut page = String::from(PREFACE);
    let mut heading = None;
    for arg in ordered() {
        if heading.as_ref() != Some(&section(&arg)) {
            let title = if section(&arg).is_empty() {
                "Above all sections".to_owned()
            } else {
                format!("`[{}]`", section(&arg))
            };
            let _ = write!(page, "\n## {title}\n\n{TABLE}");
            heading = Some(section(&arg));
        }
        let default = default(&arg).map_or_else(|| "-".to_owned(), |default| format!("`{default}`"));
        let _ = writeln!(
            page,
            "| `{}` | {default} | {} | {} | {} |",
            arg.get_id(),
            unit(&arg),
            reach(&arg),
            help(&arg).replace('|', "\\|")
        );
    }
    page
}

/// Those of no section first, as TOML wants it.
fn ordered() -> Vec<Arg> {
    let command = Config::command();
    let mut args: Vec<_> = settings(&command).cloned().collect();
    args.sort_by_key(|arg| !section(arg).is_empty());
    args
}

fn help(arg: &Arg) -> String {
    arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default().replace('\n', " ")
}

fn reach(arg: &Arg) -> &'static str {
    if reload::needs_restart(arg.get_id().as_str()) { "restart" } else { "reload" }
}

fn unit_of(arg: &Arg) -> &'static str {
    match unit(arg) {
        "bytes" => "In bytes. ",
        "a time" => "A time. ",
        "per second" => "Per second. ",
        _ => "",
    }
}

fn reach_of(arg: &Arg) -> &'static str {
    if reload::needs_restart(arg.get_id().as_str()) { "A change needs a restart." } else { "A reload takes a change." }
}

/// Returns the unit of a setting, as its value's name says.
fn unit(arg: &Arg) -> &'static str {
    let names = arg.get_value_names().unwrap_or_default();
    match names.first().map(|name| name.as_str()).unwrap_or_default() {
        _ if matches!(arg.get_action(), ArgAction::SetTrue) => "true or false",
        "BYTES" => "bytes",
        "TIME" => "a time",
        "N" if arg.get_id().as_str().contains("rate") => "per second",
        "N" => "a number",
        _ => "text",
    }
}

fn default(arg: &Arg) -> Option<String> {
    let values = arg.get_default_values().iter().filter_map(|value| value.to_str());
    let default = values.collect::<Vec<_>>().join(",");
    (!default.is_empty() && !arg.is_hide_default_value_set()).then_some(default)
}

fn toml_default(arg: &Arg) -> String {
    let default = default(arg).unwrap_or_default();
    let is_list = matches!(arg.get_action(), ArgAction::Append);
    match shape(arg) {
        Shape::Switch => "false".to_owned(),
        _ if is_list => {
            let items: Vec<_> =
                default.split(',').filter(|item| !item.is_empty()).map(|item| format!("{item:?}")).collect();
            format!("[{}]", items.join(", "))
        }
        Shape::Number if default.is_empty() => "N".to_owned(),
        Shape::Number => default,
        Shape::Text => format!("{default:?}"),
    }
}

fn wrap(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { return lines };
        if line.is_empty() {
            line.push_str(word);
        } else if line.len() + 1 + word.len() <= WIDTH {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file;
    use std::path::Path;

    /// The file is what an operator begins with: whatever is taken out of its comments has to work.
    #[test]
    fn default_file_names_every_setting_and_is_valid_with_and_without_its_comments() {
        let text = default_file();
        assert!(file::parse(Path::new("x"), &text).unwrap().is_empty(), "it says nothing as it is");
        let is_setting = |line: &&str| {
            line.split_once(" = ").is_some_and(|(key, _)| key.starts_with("# ") && !key[2..].contains(' '))
        };
        let has_default = |line: &&str| !line.ends_with(" = N") && !line.ends_with(" = \"\"");
        assert_eq!(text.lines().filter(is_setting).count(), ordered().len());
        let lines = text.lines().map(|line| if is_setting(&line) && has_default(&line) { &line[2..] } else { line });
        let spoken = lines.collect::<Vec<_>>().join("\n");
        let entries = file::parse(Path::new("x"), &spoken).unwrap_or_else(|problems| panic!("{problems:?}"));
        for entry in entries {
            let command = Config::command();
            let arg = settings(&command).find(|arg| *arg.get_id() == *entry.id).unwrap().clone();
            let unset = if shape(&arg) == Shape::Switch { "false" } else { "" };
            assert_eq!(entry.values.join(","), default(&arg).unwrap_or_else(|| unset.to_owned()), "{}", entry.id);
        }
    }

    /// A unit, a default and a reason: each text says what happens at the limit in its own words, and at length.
    #[test]
    fn every_setting_has_a_text() {
        for arg in ordered() {
            assert!(help(&arg).len() > 30, "{}", arg.get_id());
        }
    }
}
