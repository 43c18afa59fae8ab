//! The command line: a flag and a variable for every setting of a section that occurs once.

use super::file::Entry;
use super::root::Config;
use super::section::{Section, single_settings};
use super::setting::{Applies, DefaultValue, Kind, Setting};
use clap::builder::{OsStr, PossibleValuesParser};
use clap::{Arg, ArgAction, Command, value_parser};
use std::path::PathBuf;

/// Identifier of the flag that names the file. It is not a setting: a file does not name itself.
pub(super) const CONFIG: &str = "config";

const AFTER_HELP: &str = "\
Open the printed address in a browser for the chat page. SIGTERM drains the hub and stops it. Ctrl-C stops it after
pending messages. A second Ctrl-C exits at once. SIGHUP reads the settings again.

Commands, each with --help:
  throng check-config [FILE]  check the settings, and say where each comes from
  throng default-config       print a file with every setting at its default
  throng config-doc           print the reference of the settings
  throng top                  show a running hub, live";

impl Config {
    /// Returns the command line.
    pub fn command() -> Command {
        let config = Arg::new(CONFIG)
            .long(CONFIG)
            .env("THRONG_CONFIG")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help("TOML file with settings. Variables and flags override it. SIGHUP reads it again.");
        Command::new("throng")
            .version(env!("CARGO_PKG_VERSION"))
            .about("A WebSocket fan-out hub.")
            .after_help(AFTER_HELP)
            .max_term_width(120)
            .arg(config)
            .args(single_settings(Self::SCHEMA).map(|(section, setting)| argument(section, setting)))
    }
}

fn argument(section: &Section, setting: &'static Setting) -> Arg {
    let (short, long) = help(setting);
    let arg = Arg::new(setting.key).long(setting.flag()).env(setting.variable()).help(short).long_help(long);
    let arg = if section.name.is_empty() { arg } else { arg.help_heading(title(section.name)) };
    if setting.kind == Kind::Switch {
        return arg.action(ArgAction::SetTrue);
    }
    let arg = arg.value_name(setting.kind.placeholder());
    let arg = match setting.kind {
        Kind::Choice(words) => arg.value_parser(PossibleValuesParser::new(words)).hide_possible_values(true),
        _ => arg.value_parser(move |text: &str| (setting.parse)(text).map(|_| text.to_owned())),
    };
    let arg = match setting.kind {
        Kind::List(_) => arg.action(ArgAction::Append).value_delimiter(','),
        Kind::Secrets(_) => arg.action(ArgAction::Append).value_delimiter(',').hide_env_values(true),
        _ => arg,
    };
    match setting.default {
        DefaultValue::Text(text) => arg.default_value(text),
        DefaultValue::Computed { text: "", .. } | DefaultValue::Unset => arg,
        DefaultValue::Computed { text, .. } => arg.default_value(text).hide_default_value(true),
    }
}

/// Returns the help text of `-h` and that of `--help`.
fn help(setting: &Setting) -> (String, String) {
    let mut paragraphs = setting.paragraphs();
    let mut facts = vec![setting.kind.show_range()].into_iter().filter(|fact| !fact.is_empty()).collect::<Vec<_>>();
    if let DefaultValue::Computed { words, .. } = setting.default {
        facts.push(format!("default: {words}"));
    }
    if setting.applies == Applies::Restart {
        facts.push("changes apply after a restart".to_owned());
    }
    let short = paragraphs.first().cloned().unwrap_or_default();
    if !facts.is_empty() {
        paragraphs.push(format!("[{}]", facts.join("; ")));
    }
    (short, paragraphs.join("\n\n"))
}

/// Returns the heading of a section in `--help`: `TLS`, `Limits`.
fn title(section: &str) -> String {
    match section {
        "tls" => "TLS".to_owned(),
        _ => section.chars().take(1).flat_map(char::to_uppercase).chain(section.chars().skip(1)).collect(),
    }
}

/// Returns the command line whose defaults are the values of a file.
pub(super) fn with_file(command: Command, entries: &[Entry]) -> Command {
    entries.iter().fold(command, |command, entry| {
        let values: Vec<OsStr> = entry.values.iter().map(OsStr::from).collect();
        command.mut_arg(entry.key, |arg| arg.default_values(values))
    })
}
