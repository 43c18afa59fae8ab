//! A command line: what can be asked for, and the [`Config`] that it comes to.
//!
//! A `Config` exists only if its values are possible together.

mod file;
mod scenarios;
mod values;

use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::compare::CompareArgs;
use crate::config::Config;
use crate::stop::EXIT_CODES;
use crate::wire::target::Target;

pub(crate) use scenarios::Scenarios;

/// A load generator for WebSocket fan-out: every delivery is verified, latency counts from the intended send time.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one of it")]
pub(crate) enum Command {
    #[command(flatten)]
    Scenario(Scenarios),
    /// Run a scenario that is kept in a file
    ///
    /// A scenario file is TOML: `scenario = "fanout"`, and any flag of that scenario as a key, as in `clients = 1000`,
    /// `duration = "30s"` or `assert = ["p99<50ms", "lost=0"]`. Flags on the command line beat the file.
    Run(RunArgs),
    // Its words stand at its arguments.
    Compare(CompareArgs),
    /// Compare JSON reports of earlier runs in one HTML page
    ///
    /// The charts of the runs lie over each other, and the table has a column per run with its ratio to the first:
    /// better, worse or the same. What differs between their machines and settings is marked.
    Report(ReportArgs),
    /// What this program starts itself as, for each process of a run
    #[command(hide = true, name = crate::coordinator::fleet::WORKER)]
    Worker,
}

/// A scenario in a file.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// The scenario file.
    file: PathBuf,
    /// Flags of the scenario that beat the file's.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FLAGS")]
    flags: Vec<String>,
}

/// Reports to be compared.
#[derive(Args, Debug)]
pub(crate) struct ReportArgs {
    /// JSON files that `--json` wrote; the first one is what the others are measured by.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The page to write.
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    pub(crate) html: PathBuf,
}

/// What every scenario can be told.
#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    /// The server: ws://HOST:PORT/PATH?QUERY, or wss://, which believes any certificate. It must be on this machine.
    /// `{channel}` stands for the channel.
    #[arg(long, default_value = "ws://127.0.0.1:8080/ws", value_parser = Target::parse, help_heading = "Target")]
    pub(crate) url: Target,
    /// How the server wants to be spoken to.
    #[arg(long, value_enum, default_value = "plain", help_heading = "Target")]
    pub(crate) face: FaceName,
    /// The channel to publish in, where the server has any.
    #[arg(long, default_value = "loadtest", value_parser = values::channel, help_heading = "Target")]
    pub(crate) channel: String,
    /// custom: text that every client sends after the handshake; `{channel}` stands for the channel.
    #[arg(long, value_name = "TEXT", help_heading = "Target")]
    pub(crate) hello: Option<String>,
    /// custom: a client counts as connected once a line with this text has come.
    #[arg(long, value_name = "TEXT", help_heading = "Target")]
    pub(crate) ready: Option<String>,
    /// custom: what a publisher sends; `{record}` stands for the message, `{channel}` for the channel.
    #[arg(long, value_name = "TEXT", help_heading = "Target")]
    pub(crate) publish: Option<String>,
    /// custom: text right before a message in what comes; without it, messages are found by their own start.
    #[arg(long, value_name = "TEXT", help_heading = "Target")]
    pub(crate) marker: Option<String>,

    /// Length of what is measured, as in 30s or 1m30s [default: 30s; ramp 5s a step, soak 10m].
    #[arg(long, value_parser = values::duration, help_heading = "Time")]
    pub(crate) duration: Option<Duration>,
    /// Load before that, verified but in no figure. idle: the rest before a measurement. storm: the load after a round.
    #[arg(long, default_value = "5s", value_parser = values::duration, help_heading = "Time")]
    pub(crate) warmup: Duration,
    /// How long to wait, after the last message is sent, for what is still under way.
    #[arg(long, default_value = "10s", value_parser = values::duration, help_heading = "Time")]
    pub(crate) drain: Duration,

    /// New connections per second.
    #[arg(long, default_value = "5000", value_parser = values::rate, help_heading = "Generator")]
    pub(crate) connect_rate: f64,
    /// Spread the clients over this many processes, each with its own thread and descriptors.
    #[arg(long, value_name = "N", default_value = "1", value_parser = values::processes, help_heading = "Generator")]
    pub(crate) processes: usize,
    /// Connect from 127.0.0.1 to 127.0.0.N in turn: a source address has some 28,000 ports.
    #[arg(long, value_name = "N", default_value = "1", value_parser = values::sources, help_heading = "Generator")]
    pub(crate) source_addresses: u8,
    /// Extra receivers that are driven by another WebSocket library (fastwebsockets), as a second opinion.
    #[arg(long, value_name = "N", default_value = "0", help_heading = "Generator")]
    pub(crate) validate: usize,
    /// Repeats every random choice of an earlier run (its report names the seed) [default: another one each time].
    #[arg(long, help_heading = "Generator")]
    pub(crate) seed: Option<u64>,

    /// Process to charge, with its children: CPU, memory and descriptors are read from /proc.
    #[arg(long, value_name = "PID", help_heading = "Server")]
    pub(crate) server_pid: Option<u32>,
    /// Prometheus page: http://HOST:PORT/PATH. Adds sends per delivery (throng), CPU and memory if there is no PID.
    #[arg(long, value_name = "URL", value_parser = Target::parse, help_heading = "Server")]
    pub(crate) server_metrics: Option<Target>,
    /// Count the server's system calls with perf, at some 100 ns each.
    #[arg(long, requires = "server_pid", help_heading = "Server")]
    pub(crate) server_syscalls: bool,

    /// What must hold, as in 'p99<50ms', 'lost=0', 'server_rss_peak<=100MiB', 'calm.p99<5ms'; sets the exit code.
    #[arg(long = "assert", value_name = "CONDITION", value_parser = values::condition, help_heading = "Output")]
    pub(crate) asserts: Vec<String>,
    /// Write everything, latency buckets included, to this file.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) json: Option<PathBuf>,
    /// Write a page with charts, one file, to be opened in any browser.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) html: Option<PathBuf>,
    /// No progress while it runs.
    #[arg(long, help_heading = "Output")]
    pub(crate) quiet: bool,
}

/// How to speak to the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum FaceName {
    /// Every message to everybody, lines joined by newlines: gorilla's chat example, throng's /ws, most demos.
    Plain,
    /// The Centrifuge client protocol v2, JSON.
    Centrifuge,
    /// Anything else that takes and gives text: see --hello, --ready, --publish, --marker.
    Custom,
}

impl Scenarios {
    /// Fills in what depends on the scenario; the error prints like any other of the command line.
    ///
    /// # Errors
    ///
    /// Fails when two options contradict each other.
    pub(crate) fn into_config(self) -> Result<Config, clap::Error> {
        self.config().map_err(|message| Cli::command().error(ErrorKind::ValueValidation, message))
    }
}

impl RunArgs {
    /// Reads the file, and parses what it comes to.
    ///
    /// # Errors
    ///
    /// Fails when the file can not be read, or asks for what the command line could not be asked for.
    pub(crate) fn into_config(self) -> Result<Config, clap::Error> {
        let name = self.file.display().to_string();
        let fault = |text: String| Cli::command().error(ErrorKind::ValueValidation, format!("{name}: {text}"));
        let words = file::words(&self.file).map_err(fault)?;
        let words = ["loadtest".to_owned()].into_iter().chain(words).chain(self.flags);
        match Cli::try_parse_from(words)?.command {
            Command::Scenario(scenario) => scenario.into_config(),
            _ => Err(fault("is no scenario; begin it with scenario = \"fanout\" or another one".to_owned())),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn try_config(line: &str) -> Result<Config, clap::Error> {
        match Cli::try_parse_from(line.split(' '))?.command {
            Command::Scenario(scenario) => scenario.into_config(),
            other => panic!("{other:?} is no scenario"),
        }
    }

    pub(crate) fn config(line: &str) -> Config {
        try_config(line).unwrap()
    }

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// Who asks a scenario for help learns which question it answers, in a paragraph.
    #[test]
    fn every_scenario_says_what_question_it_answers() {
        for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = command.get_name();
            let long = command.get_long_about().map(ToString::to_string).unwrap_or_default();
            assert!(long.len() > 150, "{name} has no paragraph: {long:?}");
        }
    }

    #[test]
    fn defaults_depend_on_the_scenario() {
        let fanout = config("loadtest fanout");
        assert_eq!((fanout.clients, fanout.rate, fanout.size, fanout.connections()), (1000, 20.0, 64, 1001));
        let slow = config("loadtest slow");
        assert_eq!((slow.clients, slow.rate, slow.size, slow.stalled), (200, 500.0, 500, 20));
        assert_eq!(config("loadtest chat --clients 50").connections(), 50);
        assert_eq!(config("loadtest ramp").duration, Duration::from_secs(5));
        assert_eq!(config("loadtest ramp --from 100 --step 50 --steps 3").clients, 200);
    }

    #[test]
    fn record_that_does_not_fit_is_refused_with_the_rule() {
        let error = try_config("loadtest fanout --size 40").unwrap_err().to_string();
        assert!(error.contains("40") && error.contains("41 to"), "{error}");
    }

    #[test]
    fn contradictions_are_refused() {
        let refused = |line: &str| try_config(line).unwrap_err().to_string();
        assert!(refused("loadtest idle --clients 2000 --server-pid 1").contains("--clients-low"));
        assert!(refused("loadtest slow --slow-share 0.001").contains("at least one"));
        assert!(refused("loadtest fanout --rate 0").contains("above 0"));
        assert!(refused("loadtest fanout --url ws://192.0.2.1/ws").contains("not on this machine"));
        assert!(refused("loadtest fanout --hello x").contains("--face custom"));
        assert!(refused("loadtest fanout --face custom --publish x").contains("{record}"));
        assert!(refused("loadtest fanout --assert p98<1ms").contains("p98"));
        assert!(refused("loadtest channels").contains("{channel}"));
        assert!(refused("loadtest channels --url ws://127.0.0.1/{channel} --subscriptions 2").contains("centrifuge"));
        assert!(refused("loadtest chat --clients 40000").contains("at most"));
    }
}
