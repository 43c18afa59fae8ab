//! The settings of the commands about tokens: a file and the variables, without the flags of a hub.

use super::exit::EXIT_USAGE;
use super::sources;
use crate::config::{Config, LoadError};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// Reads the settings.
///
/// # Errors
///
/// [`LoadError`] says what is wrong with them.
pub(super) fn load(file: Option<&Path>, variables: Vec<(OsString, OsString)>) -> Result<Config, LoadError> {
    let mut arguments = vec![OsString::from("throng")];
    if let Some(file) = file {
        arguments.extend(["--config".into(), file.into()]);
    }
    sources::of_process(arguments, variables).load().map(|loaded| loaded.config)
}

/// Prints why arguments cannot be used. A request for help gets it, with exit code 0.
pub(super) fn fail_with_usage(error: &clap::Error) -> ExitCode {
    // If the stream is closed, there is no other place for the message.
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE))
}
