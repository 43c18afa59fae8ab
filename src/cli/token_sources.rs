//! The settings of the commands about tokens: a file and the variables, without the flags of a hub.

use super::exit::{EXIT_USAGE, fail_with_load_error};
use super::sources;
use crate::config::{Config, LoadError};
use clap::Parser;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// Reads the arguments, and the settings in the file that they name.
///
/// # Errors
///
/// The exit code, after what is wrong has been printed.
pub(super) fn read<O: Parser>(
    arguments: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    file: impl FnOnce(&O) -> Option<&Path>,
) -> Result<(O, Config), ExitCode> {
    let options = O::try_parse_from(arguments).map_err(|error| fail_with_usage(&error))?;
    let config = load(file(&options), variables).map_err(|error| fail_with_load_error(&error))?;
    Ok((options, config))
}

fn load(file: Option<&Path>, variables: Vec<(OsString, OsString)>) -> Result<Config, LoadError> {
    let mut arguments = vec![OsString::from("throng")];
    if let Some(file) = file {
        arguments.extend(["--config".into(), file.into()]);
    }
    sources::of_process(arguments, variables).load().map(|loaded| loaded.config)
}

/// Prints why arguments cannot be used. A request for help gets it, with exit code 0.
fn fail_with_usage(error: &clap::Error) -> ExitCode {
    // If the stream is closed, there is no other place for the message.
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE))
}
