//! A logging: what is written about the hub, in which shape, and where traces go.

use clap::{Args, ValueEnum};

/// The part of the configuration that says what is written.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Log")]
pub struct Logging {
    /// What is logged: error, warn, info, debug or trace, also by module, as in throng::hub=debug,info.
    #[arg(long, env = "THRONG_LOG", default_value = "info", value_name = "LEVEL")]
    pub log: String,

    /// How a line of the log looks: text for people, json for programs.
    #[arg(long, env = "THRONG_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub log_format: LogFormat,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one object per line.
    Json,
}
