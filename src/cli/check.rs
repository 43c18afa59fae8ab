//! `throng check-config`: whether the settings can be used, from where each comes, and what is wrong with them.

use super::logging::Level;
use super::{EXIT_USAGE, print, refuse, sources};
use crate::config::LoadError;
use crate::net::tls;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::SystemTime;

const HELP: &str = "\
Says whether the settings can be used, and what differs from the defaults and why.

Usage: throng check-config [FILE] [FLAGS OF throng]

Exit code 0 when they can, 2 when not: then every problem of the file has a line of its own, with line and column.
";

/// Checks the settings of a process that would be started like this.
pub(super) fn check(mut arguments: Vec<OsString>, strange: &[String]) -> ExitCode {
    let first = arguments.get(1).and_then(|argument| argument.to_str()).unwrap_or_default();
    if ["--help", "-h"].contains(&first) {
        return print(HELP);
    }
    if !first.is_empty() && !first.starts_with('-') {
        arguments.insert(1, "--config".into());
    }
    let loaded = match sources(arguments).load() {
        Ok(loaded) => loaded,
        Err(LoadError::File(problems)) => {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).chain(strange.iter().cloned()).collect();
            return complain(&lines);
        }
        Err(error) => return refuse(&error),
    };
    if !strange.is_empty() {
        return complain(strange);
    }
    if let Err(error) = Level::parse(&loaded.config.logging.log) {
        return complain(&[error]);
    }
    if let Some((certificate, key)) = loaded.config.encryption.files()
        && let Err(error) = tls::load(certificate, key).and_then(|one| one.check_time(SystemTime::now()))
    {
        return complain(&[error.to_string()]);
    }
    let name = loaded.path.as_ref().map_or_else(|| "the settings".to_owned(), |path| path.display().to_string());
    let differing: Vec<_> = loaded.values.iter().filter(|value| !value.is_default).collect();
    let mut said = format!("{name}: valid; {} of {} set\n", differing.len(), loaded.values.len());
    for value in differing {
        // Writing to a string does not fail.
        let _ = writeln!(said, "  {} = {}  ({})", value.key, value.text, value.origin);
    }
    print(&said)
}

fn complain(lines: &[String]) -> ExitCode {
    // Nobody is left to tell when this fails.
    let _ = writeln!(std::io::stderr(), "{}", lines.join("\n"));
    ExitCode::from(EXIT_USAGE)
}
