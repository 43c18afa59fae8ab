//! The command line: what a person types and reads, from the first line to the exit code.

mod command;
mod hub;

mod check;
mod check_token;
mod cluster;
mod exit;
mod gen_token;
mod import;
mod sources;
mod token_sources;

mod announce;
mod log_limit;
mod logging;
mod reload;
mod signals;
mod supervisor;
#[cfg(feature = "otel")]
mod traces;

pub use command::{ProcessEnv, run};
