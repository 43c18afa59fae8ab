//! The end of a command: its output, its error message, its exit code.

use crate::config::LoadError;
use crate::config::command::COMMANDS;
use clap::error::{ContextKind, ContextValue};
use std::fmt;
use std::io::Write;
use std::process::ExitCode;

/// Exit code for a failure while the hub starts or runs.
pub(super) const EXIT_FAILURE: u8 = 1;

/// Exit code for settings that cannot be used; clap's is the same.
pub(super) const EXIT_USAGE: u8 = 2;

/// Exit code when shards fail again and again: EX_SOFTWARE of sysexits.h.
pub(super) const EXIT_SOFTWARE: u8 = 70;

/// Prints a text to standard output.
pub(super) fn print_text(text: &str) -> ExitCode {
    // A reader that is gone needs no output.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// Prints an error to standard error.
pub(super) fn fail_with(code: u8, error: &dyn fmt::Display) -> ExitCode {
    // If standard error is closed, there is no other place for the message.
    let _ = writeln!(std::io::stderr(), "throng: {error}");
    ExitCode::from(code)
}

/// Prints lines that name their own file, without the program's name before them.
pub(super) fn fail_with_lines(lines: &[String]) -> ExitCode {
    // As above.
    let _ = writeln!(std::io::stderr(), "{}", lines.join("\n"));
    ExitCode::from(EXIT_USAGE)
}

/// Prints why arguments cannot be used. A request for help gets it, with exit code 0.
pub(super) fn fail_with_usage(error: &clap::Error) -> ExitCode {
    // If the stream is closed, there is no other place for the message.
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE))
}

/// Prints why there is no configuration. A request for help gets it, with exit code 0.
pub(super) fn fail_with_load_error(error: &LoadError) -> ExitCode {
    match error {
        LoadError::Usage(error) => {
            let _ = error.print();
            if let Some(command) = misplaced_command(error) {
                // As above.
                let _ = writeln!(std::io::stderr(), "\nA command comes first: throng {command} [OPTIONS]");
            }
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE))
        }
        LoadError::Problems(_) | LoadError::Invalid { .. } => fail_with(EXIT_USAGE, error),
    }
}

/// Returns the command that stands where an option was expected.
fn misplaced_command(error: &clap::Error) -> Option<&str> {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg) else { return None };
    let is_command = COMMANDS.iter().any(|(usage, _)| usage.split(' ').next() == Some(word.as_str()));
    is_command.then_some(word)
}
