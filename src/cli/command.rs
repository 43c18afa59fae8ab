//! The command: runs what the first argument names, a hub if it names nothing.

use super::exit::{EXIT_USAGE, fail_with, print_text};
use super::{check, hub};
use crate::config::{doc, source};
use crate::top::{self, Medium};
use std::ffi::OsString;
use std::process::ExitCode;

/// What only `main` may ask the process for.
#[derive(Debug)]
pub struct ProcessEnv {
    /// The arguments, program name first.
    pub arguments: Vec<OsString>,
    /// The names of all environment variables.
    pub variables: Vec<OsString>,
    /// Ends the process with a code at once, when signals ask for it.
    pub exit_now: fn(i32) -> !,
}

/// Runs a hub until it is stopped, or prints what the arguments ask for. Returns the exit code.
pub fn run(env: ProcessEnv) -> ExitCode {
    let ProcessEnv { mut arguments, variables, exit_now } = env;
    let verb = arguments.get(1).and_then(|argument| argument.to_str()).unwrap_or_default().to_owned();
    let unknown_variables = source::unknown_variables(variables.iter().filter_map(|name| name.to_str()));
    let is_plain = variables.iter().any(|name| name == "NO_COLOR");
    match verb.as_str() {
        "default-config" | "config-doc" if arguments.len() > 2 => {
            fail_with(EXIT_USAGE, &format_args!("{verb} takes no arguments: its output does not depend on any"))
        }
        "default-config" => print_text(&doc::default_file()),
        "config-doc" => print_text(&doc::reference()),
        "check-config" => {
            arguments.remove(1);
            check::check_config(arguments, &unknown_variables)
        }
        "top" => {
            arguments.remove(1);
            top::run(arguments, if is_plain { Medium::Plain } else { Medium::Coloured })
        }
        _ => hub::run_hub(arguments, &unknown_variables, is_plain, exit_now),
    }
}
