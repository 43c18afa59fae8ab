//! The command: runs what the first argument names, a hub if it names nothing.

use super::exit::{EXIT_USAGE, fail_with, print_text};
use super::{check, check_token, cluster, gen_token, hub, import, sources};
use crate::config::command::{COMMANDS, command_list};
use crate::config::doc;
use crate::config::suggestion::suggestion;
use crate::top::{self, Medium};
use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

/// Names that other programs give to what this one does without a command.
const SERVE: [&str; 6] = ["daemon", "hub", "run", "serve", "server", "start"];

const DEFAULT_CONFIG_HELP: &str = "\
Prints a file with every setting at its default, commented out. It can be used as it is: throng --config FILE

Usage: throng default-config
";

const CONFIG_DOC_HELP: &str = "\
Prints CONFIGURATION.md, the reference of the settings.

Usage: throng config-doc
";

/// What only `main` may ask the process for.
pub struct ProcessEnv {
    /// The arguments, program name first.
    pub arguments: Vec<OsString>,
    /// All environment variables.
    pub variables: Vec<(OsString, OsString)>,
    /// Ends the process with a code at once, when signals ask for it.
    pub exit_now: fn(i32) -> !,
}

impl std::fmt::Debug for ProcessEnv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Arguments and variables may be secrets.
        f.write_str("ProcessEnv")
    }
}

/// Runs a hub until it is stopped, or prints what the arguments ask for. Returns the exit code.
pub fn run(env: ProcessEnv) -> ExitCode {
    let ProcessEnv { mut arguments, variables, exit_now } = env;
    // `throng help top` is `throng top --help`, and `throng help` is `throng --help`.
    if arguments.get(1).is_some_and(|first| first == "help") {
        arguments.remove(1);
        arguments.truncate(2);
        arguments.push("--help".into());
    }
    let verb = arguments.get(1).and_then(|argument| argument.to_str()).unwrap_or_default().to_owned();
    let is_plain = variables.iter().any(|(name, value)| name == "NO_COLOR" && !value.is_empty());
    match verb.as_str() {
        "default-config" => print_document(&arguments, DEFAULT_CONFIG_HELP, doc::default_file),
        "config-doc" => print_document(&arguments, CONFIG_DOC_HELP, doc::reference),
        "check-config" => {
            arguments.remove(1);
            check::check_config(arguments, variables)
        }
        "gen-token" => {
            arguments.remove(1);
            gen_token::gen_token(arguments, variables)
        }
        "check-token" => {
            arguments.remove(1);
            check_token::check_token(arguments, variables)
        }
        "cluster" => {
            arguments.remove(1);
            cluster::cluster(arguments, variables)
        }
        "import" => {
            arguments.remove(1);
            import::import(arguments)
        }
        "top" => {
            arguments.remove(1);
            top::run(arguments, if is_plain { Medium::Plain } else { Medium::Coloured })
        }
        "" => hub::run_hub(sources::of_process(arguments, variables), is_plain, exit_now),
        flag if flag.starts_with('-') => hub::run_hub(sources::of_process(arguments, variables), is_plain, exit_now),
        word => fail_with(EXIT_USAGE, &unknown_command(word)),
    }
}

/// Prints a document that depends on no argument, or its help.
fn print_document(arguments: &[OsString], help: &str, document: impl Fn() -> String) -> ExitCode {
    match arguments.get(2).map(OsString::as_os_str).and_then(OsStr::to_str) {
        None if arguments.len() < 3 => print_text(&document()),
        Some("--help" | "-h") => print_text(help),
        _ => {
            let usage = help.lines().last().unwrap_or_default();
            fail_with(
                EXIT_USAGE,
                &format_args!("the output does not depend on any argument; leave them out\n\n{usage}"),
            )
        }
    }
}

/// Says that there is no such command, and which there are.
fn unknown_command(word: &str) -> String {
    let advice = if SERVE.contains(&word) {
        "; a hub needs none: leave the word out".to_owned()
    } else {
        let names = COMMANDS.iter().filter_map(|(usage, _)| usage.split(' ').next());
        suggestion(word, names.map(str::to_owned))
    };
    format!(
        "there is no command {word}{advice}\n\nUsage: throng [OPTIONS]\n       throng COMMAND\n\nCommands:\n{}\n\n\
         For the options, try 'throng -h'; for all that is known of them, 'throng --help'.",
        command_list()
    )
}
