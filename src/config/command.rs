//! The command line: a flag and a variable for every setting of a section that occurs once.

use super::root::Config;
use super::section::{Section, single_settings};
use super::setting::{Applies, DefaultValue, Kind, Setting};
use super::value::ValueError;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgAction, Command, value_parser};
use std::ffi::OsStr;
use std::path::PathBuf;

/// Identifier of the flag that names the file. It is not a setting: a file does not name itself.
pub(super) const CONFIG: &str = "config";

/// Variable of that flag.
const CONFIG_VARIABLE: &str = super::variables::CONFIG;

/// The usage of a hub.
pub(super) const USAGE: &str = "throng [OPTIONS]\n       throng COMMAND";

/// The commands, each with what it does.
pub const COMMANDS: [(&str, &str); 9] = [
    ("check-config [FILE]", "check the settings, and say where each comes from"),
    ("default-config", "print a file with every setting at its default"),
    ("config-doc", "print the reference of the settings"),
    ("gen-token", "make a token (JWT) for a user, to try a hub without an issuer"),
    ("check-token TOKEN", "show what is in a token, and whether it is valid"),
    ("cluster init|check", "make the streams of a cluster, or say what differs"),
    ("import centrifugo FILE", "print the file that corresponds to one of Centrifugo"),
    ("top", "show a running hub, live"),
    ("help [COMMAND]", "print the help of a command"),
];

const AFTER_HELP: &str = "\
Open the printed address in a browser for the chat page. SIGTERM drains the hub and stops it. Ctrl-C stops it after \
pending messages. A second Ctrl-C exits at once. SIGHUP reads the settings again.";

const AFTER_SHORT_HELP: &str = "\
Every flag is also a variable, THRONG_ and its name in capitals, and a key of a file. Lists of tables, as \
[[namespace]], stand in a file only. --help says more of each flag.";

impl Config {
    /// Returns the command line.
    pub fn command() -> Command {
        let with_variable = |arg: Arg| match arg.get_id().as_str() {
            CONFIG => arg.env(CONFIG_VARIABLE),
            key => match single_settings(Self::SCHEMA).find(|(_, setting)| setting.key == key) {
                Some((_, setting)) => arg.env(setting.variable()),
                None => arg,
            },
        };
        parser(USAGE).mut_args(with_variable)
    }
}

/// Returns the list of commands for a help text.
pub fn command_list() -> String {
    COMMANDS.map(|(usage, about)| format!("  {usage:<22}  {about}")).join("\n")
}

/// Returns the command line without its variables, which are read separately: an empty one has no meaning here.
pub(super) fn parser(usage: &'static str) -> Command {
    let config = Arg::new(CONFIG)
        .long(CONFIG)
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("TOML file with settings. Variables and flags override it.")
        .long_help(format!(
            "TOML file with settings. Variables and flags override it. SIGHUP reads it again.\n\n[variable: \
             {CONFIG_VARIABLE}]"
        ));
    let commands = command_list();
    Command::new("throng")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A WebSocket fan-out hub.")
        .override_usage(usage)
        .help_template(format!(
            "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\nCommands:\n{commands}\n\n{{all-args}}{{after-help}}"
        ))
        .after_help(AFTER_SHORT_HELP)
        .after_long_help(AFTER_HELP)
        .max_term_width(120)
        .arg(config)
        .args(single_settings(Config::SCHEMA).map(|(section, setting)| argument(section, setting)))
}

fn argument(section: &Section, setting: &'static Setting) -> Arg {
    let (short, long) = help(setting);
    let arg = Arg::new(setting.key).long(setting.flag()).help(short).long_help(long);
    let arg = if section.name.is_empty() { arg } else { arg.help_heading(title(section.name)) };
    let arg = arg.value_name(setting.kind.placeholder());
    match setting.kind {
        // `--echo` alone turns it on, `--echo=no` off.
        Kind::Switch => {
            let arg = arg.num_args(0..=1).require_equals(true).default_missing_value("true");
            arg.value_parser(move |text: &str| check(setting, text))
        }
        Kind::Choice(words) => arg.value_parser(Word(PossibleValuesParser::new(words))).hide_possible_values(true),
        Kind::List(_) => arg.action(ArgAction::Append).value_parser(move |text: &str| check(setting, text)),
        // Checked later, because an error of clap repeats the value.
        Kind::Secrets(_) => arg.action(ArgAction::Append),
        Kind::Secret(_) => arg,
        Kind::Number(..) | Kind::Duration(_) | Kind::Text(_) => {
            arg.value_parser(move |text: &str| check(setting, text))
        }
    }
}

/// A parser of one of some words, with white space around it as in the file and the variable.
#[derive(Clone, Debug)]
struct Word(PossibleValuesParser);

impl TypedValueParser for Word {
    type Value = String;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, text: &OsStr) -> Result<String, clap::Error> {
        let word = text.to_str().map_or(text, |text| OsStr::new(text.trim()));
        self.0.parse_ref(command, arg, word)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        self.0.possible_values()
    }
}

/// Checks the type of a flag's value; an empty one counts as not given. Ranges are checked later, with all settings.
fn check(setting: &Setting, text: &str) -> Result<String, ValueError> {
    let items = setting.items(text);
    for item in items.iter().filter(|item| !item.is_empty()) {
        (setting.parse)(&setting.plain(item)?)?;
    }
    Ok(text.to_owned())
}

/// Returns the help text of `-h`, which is one sentence, and that of `--help`.
fn help(setting: &Setting) -> (String, String) {
    let mut paragraphs = setting.paragraphs();
    let default = match setting.default {
        DefaultValue::Text(text) => Some(text),
        DefaultValue::Computed { words, .. } => Some(words),
        DefaultValue::Unset => None,
    };
    let default = default.map(|text| format!("default: {text}"));
    let first = paragraphs.first().map(String::as_str).unwrap_or_default();
    let short = match &default {
        Some(default) => format!("{} [{default}]", first_sentence(first)),
        None => first_sentence(first).to_owned(),
    };
    let mut facts: Vec<_> = [setting.kind.show_range()].into_iter().filter(|fact| !fact.is_empty()).collect();
    facts.extend(default);
    if setting.applies == Applies::Restart {
        facts.push("changes apply after a restart".to_owned());
    }
    facts.push(format!("variable: {}", setting.variable()));
    paragraphs.push(format!("[{}]", facts.join("; ")));
    (short, paragraphs.join("\n\n"))
}

/// Returns the first sentence of a paragraph, without its full stop.
fn first_sentence(paragraph: &str) -> &str {
    let end = paragraph.match_indices(". ").map(|(at, _)| at).next();
    paragraph.get(..end.unwrap_or(paragraph.len())).unwrap_or(paragraph).trim_end_matches('.')
}

/// Returns the heading of a section in `--help`: `TLS`, `Limits`.
fn title(section: &str) -> String {
    match section {
        "tls" => "TLS".to_owned(),
        "api" => "API".to_owned(),
        "default_namespace" => "Default namespace".to_owned(),
        _ => section.chars().take(1).flat_map(char::to_uppercase).chain(section.chars().skip(1)).collect(),
    }
}
