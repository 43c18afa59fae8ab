//! `throng check-config`: whether the settings can be used, where each comes from, and what is wrong with them.

use super::exit::{fail_with_lines, fail_with_load_error, print_text};
use super::sources;
use crate::auth::Verifier;
use crate::config::LoadError;
use crate::net::tls;
use std::ffi::OsString;
use std::fmt::Write;
use std::process::ExitCode;
use std::time::SystemTime;

const HELP: &str = "\
Checks the settings without starting a hub, and lists those that differ from the defaults, with their sources.

Usage: throng check-config [FILE] [OPTIONS OF throng]

Exit code 0 if the settings can be used, 2 if not. Every mistake in a file is one line, with line and column.
";

const USAGE: &str = "throng check-config [FILE] [OPTIONS OF throng]";

/// Checks the settings of a process that would be started with these arguments.
pub(super) fn check_config(mut arguments: Vec<OsString>, variables: Vec<(OsString, OsString)>) -> ExitCode {
    let first = arguments.get(1).and_then(|argument| argument.to_str()).unwrap_or_default();
    if ["--help", "-h"].contains(&first) {
        return print_text(HELP);
    }
    if !first.is_empty() && !first.starts_with('-') {
        arguments.insert(1, "--config".into());
    }
    let sources = sources::of_process(arguments, variables).with_usage(USAGE);
    let complaints = sources.complaints();
    let loaded = match sources.load() {
        Ok(loaded) => loaded,
        Err(LoadError::Problems(problems)) => {
            let lines = problems.iter().map(ToString::to_string).chain(complaints);
            return fail_with_lines(&lines.collect::<Vec<_>>());
        }
        Err(error) => return fail_with_load_error(&error),
    };
    if !complaints.is_empty() {
        return fail_with_lines(&complaints);
    }
    if let Some((certificate, key)) = loaded.config.tls.files()
        && let Err(error) = tls::load(certificate, key).and_then(|one| one.check_time(SystemTime::now()))
    {
        let text = error.to_string();
        let places = loaded.places(&text);
        return fail_with_lines(&[text + &places]);
    }
    if let Err(error) = Verifier::new(&loaded.config.tokens, &loaded.config.token_keys) {
        return fail_with_lines(&[error.to_string()]);
    }
    let name = loaded.path.as_ref().map_or_else(|| "the settings".to_owned(), |path| path.display().to_string());
    let differing: Vec<_> = loaded.values.iter().filter(|value| !value.is_default).collect();
    let mut summary = format!("{name}: valid; {} of {} set\n", differing.len(), loaded.values.len());
    for value in differing {
        // Writing to a string does not fail.
        let _ = writeln!(summary, "  {} = {}  ({})", value.key, value.text, value.origin);
    }
    for table in &loaded.tables {
        let _ = writeln!(summary, "  {}: {}  ({name}:{})", table.label, table.text, table.line);
    }
    print_text(&summary)
}
