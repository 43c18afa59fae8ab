//! A command line: what can be requested, and the [`Config`] that it amounts to.
//!
//! A `Config` exists only if its values are possible together.

use super::file::{self, FileError};
use super::scenario::ScenarioCommand;
use crate::compare::CompareArgs;
use crate::config::Config;
use crate::exit::EXIT_CODES;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::fmt::Display;
use std::path::PathBuf;

/// A load generator for WebSocket fan-out: every delivery is verified, latency counts from the intended send time.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) action: Action,
}

/// A subcommand.
#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one value of it")]
pub(crate) enum Action {
    #[command(flatten)]
    Scenario(ScenarioCommand),
    /// Run a scenario from a file
    ///
    /// A scenario file is TOML: `scenario = "fanout"`, and any flag of that scenario as a key, as in `clients = 1000`,
    /// `duration = "30s"` or `assert = ["p99<50ms", "lost=0"]`. Flags on the command line override the file.
    Run(RunArgs),
    // Its help stands at its arguments.
    Compare(CompareArgs),
    /// Compare JSON reports of earlier runs in one HTML page
    ///
    /// The charts show all runs, and the tables have a column per run with its ratio to the first: better, worse or the
    /// same. Differences between their machines and settings are marked.
    Report(ReportArgs),
    /// A worker process, which loadtest starts itself
    #[command(hide = true, name = crate::coordinator::fleet::WORKER)]
    Worker,
}

/// A scenario in a file.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// The scenario file.
    file: PathBuf,
    /// Flags of the scenario; they override the file.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FLAGS")]
    flags: Vec<String>,
}

/// Reports to be compared.
#[derive(Args, Debug)]
pub(crate) struct ReportArgs {
    /// JSON files that --json wrote. Ratios are to the first.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The page to write.
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    pub(crate) html: PathBuf,
}

/// Returns the configuration of a scenario; the error prints like any other of the command line.
///
/// # Errors
///
/// Fails when two flags contradict each other.
pub(crate) fn config(scenario: ScenarioCommand) -> Result<Config, clap::Error> {
    let name = scenario.name();
    scenario.into_config().map_err(|error| usage_error(name, error))
}

/// Returns an error with the usage of a subcommand.
fn usage_error(subcommand: &str, error: impl Display) -> clap::Error {
    let mut command = Cli::command();
    // Gives each subcommand the name that the usage shows.
    command.build();
    let mut named = command.find_subcommand(subcommand).cloned().unwrap_or(command);
    named.error(ErrorKind::ValueValidation, error)
}

impl RunArgs {
    /// Reads the file and returns the configuration that it and the flags amount to.
    ///
    /// # Errors
    ///
    /// Fails when the file cannot be read, and on everything that the command line would refuse.
    pub(crate) fn into_config(self) -> Result<Config, clap::Error> {
        let name = self.file.display().to_string();
        let refuse = |error: FileError| usage_error("run", format!("{name}: {error}"));
        let words = file::words(&self.file).map_err(refuse)?;
        // Flags of the command line come last, and the last one of a kind counts.
        let words = ["loadtest".to_owned()].into_iter().chain(words).chain(self.flags);
        match Cli::try_parse_from(words)?.action {
            Action::Scenario(scenario) => config(scenario),
            _ => Err(refuse(FileError::OtherAction)),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::Load;
    use std::time::Duration;

    pub(crate) fn try_config(line: &str) -> Result<Config, clap::Error> {
        match Cli::try_parse_from(line.split(' '))?.action {
            Action::Scenario(scenario) => super::config(scenario),
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

    /// The help of a scenario explains in a paragraph which question it answers.
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
        assert_eq!((fanout.clients, fanout.size, fanout.connections()), (1000, 64, 1001));
        assert_eq!(fanout.load, Load::Fanout { rate: 20.0 });
        let slow = config("loadtest slow");
        assert_eq!((slow.clients, slow.size, slow.load), (200, 500, Load::Slow { rate: 500.0, stalled: 20 }));
        assert_eq!(config("loadtest chat --clients 50").connections(), 50);
        assert_eq!(config("loadtest ramp").duration, Duration::from_secs(5));
        assert_eq!(config("loadtest ramp --from 100 --step 50 --steps 3").clients, 200);
    }

    /// Scripts of earlier versions still work.
    #[test]
    fn protocol_has_its_former_name_too() {
        let protocol = |line: &str| config(line).protocol;
        assert_eq!(protocol("loadtest fanout --face centrifuge"), protocol("loadtest fanout --protocol centrifuge"));
        assert!(!Cli::command().render_long_help().to_string().contains("--face"));
    }

    #[test]
    fn record_that_does_not_fit_is_refused_with_the_rule() {
        let error = try_config("loadtest fanout --size 40").unwrap_err().to_string();
        assert!(error.contains("40") && error.contains("41 to"), "{error}");
    }

    /// The load must be in the channel that the report names, and by default in one that no application uses.
    #[test]
    fn channel_is_in_what_is_sent_or_refused() {
        let default = config("loadtest fanout");
        assert_eq!((default.channel.as_str(), default.url.path.as_str()), ("loadtest", "/ws?channel={channel}"));
        assert_eq!(config("loadtest chat --channel room").channel, "room");
        assert_eq!(config("loadtest chat --url ws://127.0.0.1/ws").channel, "", "the server has one channel");
        assert_eq!(config("loadtest chat --url ws://127.0.0.1/ws --protocol centrifuge").channel, "loadtest");
        let hello = "loadtest chat --url ws://127.0.0.1/ws --protocol custom --channel room --hello";
        assert_eq!(config(&format!("{hello} {{channel}}")).channel, "room");
        for line in [&format!("{hello} x"), "loadtest fanout --url ws://127.0.0.1/ws?channel=lobby --channel room"] {
            let error = try_config(line).unwrap_err().to_string();
            assert!(error.contains("--channel room has no place in --url ws://127.0.0.1/ws"), "{error}");
        }
    }

    /// With throng on its default address no scenario needs --url.
    #[test]
    fn default_address_works_in_every_scenario() {
        for scenario in Cli::command().get_subcommands().map(|command| command.get_name().to_owned()) {
            let is_scenario = !["run", "compare", "report", crate::coordinator::fleet::WORKER].contains(&&*scenario);
            if is_scenario {
                let config = config(&format!("loadtest {scenario} --server-pid 1"));
                assert_eq!((config.channel.as_str(), config.url.path.as_str()), ("loadtest", "/ws?channel={channel}"));
            }
        }
    }

    #[test]
    fn flags_without_an_effect_are_refused() {
        let refused = |line: &str| try_config(line).unwrap_err().to_string();
        assert!(refused("loadtest ramp --clients 50").contains("--clients would have no effect"));
        assert!(refused("loadtest ramp --by rate --rate 50").contains("--rate would have no effect"));
        let idle = "loadtest idle --server-pid 1 --protocol custom";
        assert!(refused(&format!("{idle} --publish {{record}}")).contains("--publish would have no effect"));
        assert!(refused(&format!("{idle} --marker x")).contains("--marker would have no effect"));
        assert!(refused("loadtest idle --server-pid 1 --server-syscalls").contains("--server-syscalls would have no"));
        let source = refused("loadtest fanout --url ws://[::1]:8080/ws --source-addresses 2");
        assert!(source.contains("--source-addresses has no effect"), "{source}");
    }

    #[test]
    fn errors_show_the_usage_of_their_scenario() {
        for (line, usage) in [
            ("loadtest idle", "Usage: loadtest idle [OPTIONS]"),
            ("loadtest channels --url ws://127.0.0.1/ws", "Usage: loadtest channels [OPTIONS]"),
            ("loadtest slow --slow-share 0.001", "Usage: loadtest slow [OPTIONS]"),
            ("loadtest fanout --rate x", "loadtest fanout"),
        ] {
            let error = try_config(line).unwrap_err().to_string();
            assert!(error.contains(usage) || error.contains("--help"), "{error}");
            assert!(!error.contains("loadtest <COMMAND>"), "{error}");
        }
        let Action::Run(run) = Cli::try_parse_from(["loadtest", "run", "/no/such/file"]).unwrap().action else {
            panic!()
        };
        let error = run.into_config().unwrap_err().to_string();
        assert!(error.contains("/no/such/file: cannot be read") && error.contains("Usage: loadtest run"), "{error}");
    }

    #[test]
    fn times_without_a_unit_show_how_to_write_them() {
        let error = try_config("loadtest fanout --duration 5").unwrap_err().to_string();
        assert!(error.contains("write it with its unit, as in 30s") && !error.contains("5sec"), "{error}");
    }

    #[test]
    fn contradictions_are_refused() {
        let refused = |line: &str| try_config(line).unwrap_err().to_string();
        assert!(refused("loadtest idle --clients 2000 --server-pid 1").contains("--clients-low"));
        assert!(refused("loadtest slow --slow-share 0.001").contains("at least one"));
        assert!(refused("loadtest fanout --rate 0").contains("above 0"));
        assert!(refused("loadtest fanout --url ws://192.0.2.1/ws").contains("not on this machine"));
        assert!(refused("loadtest fanout --hello x").contains("--protocol custom"));
        assert!(refused("loadtest fanout --protocol custom --publish x").contains("{record}"));
        assert!(refused("loadtest fanout --assert p98<1ms").contains("p98"));
        assert!(refused("loadtest channels --url ws://127.0.0.1:8080/ws").contains("{channel}"));
        assert!(refused("loadtest channels --url ws://127.0.0.1/{channel} --subscriptions 2").contains("centrifuge"));
        assert!(refused("loadtest chat --clients 40000").contains("at most"));
    }
}
