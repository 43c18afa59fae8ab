//! The command line: its flags, scenario files, and the configuration that they amount to.

// Subcommands and flags.
mod args;
mod command;
mod scenario;

// Reading and checking.
mod check;
mod error;
mod file;
mod values;

#[cfg(test)]
pub(crate) use command::tests;
pub(crate) use command::{Action, Cli, ReportArgs, config};
