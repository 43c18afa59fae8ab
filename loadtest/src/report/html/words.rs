//! The words of a page: the question, the load and the outcome.

use super::named_report::NamedReport;
use crate::config::{Axis, Config, Load, RampLoad, Scenario};
use crate::exit::{INTERRUPTED, INVALID, PASS};
use crate::report::Report;
use crate::units::{count, micros, rate};
use crate::wire::protocol::Protocol;
use humantime::format_duration;

/// How a run ended, the worst last.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum State {
    Pass,
    Interrupted,
    Invalid,
    Fail,
}

impl State {
    pub(super) const fn of(report: &Report) -> Self {
        match report.verdict.exit_code {
            PASS => Self::Pass,
            INTERRUPTED => Self::Interrupted,
            INVALID => Self::Invalid,
            _ => Self::Fail,
        }
    }

    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Interrupted => "interrupted",
            Self::Invalid => "invalid",
            Self::Fail => "fail",
        }
    }

    /// Returns a shape that is distinct without colour.
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Pass => "\u{2713}",
            Self::Interrupted => "\u{2026}",
            Self::Invalid => "?",
            Self::Fail => "\u{2715}",
        }
    }
}

/// Returns the name of the page.
pub(super) fn title(runs: &[NamedReport<'_>]) -> String {
    match runs {
        [] => "loadtest".to_owned(),
        [run] => {
            let word = run.report.verdict.line.split(':').next().unwrap_or_default();
            format!("{word}: {} of {} - loadtest", scenario(&run.report.config), run.report.config.url)
        }
        _ => format!("{} runs of {} compared - loadtest", runs.len(), scenarios(runs)),
    }
}

/// Returns the scenarios of all runs, each once.
pub(super) fn scenarios(runs: &[NamedReport<'_>]) -> String {
    let mut names: Vec<_> = runs.iter().map(|run| scenario(&run.report.config)).collect();
    names.dedup();
    names.join(", ")
}

/// Returns the scenario, as the command line names it.
pub(super) const fn scenario(config: &Config) -> &'static str {
    match config.load.scenario() {
        Scenario::Idle => "idle",
        Scenario::Fanout => "fanout",
        Scenario::Saturate => "saturate",
        Scenario::Chat => "chat",
        Scenario::Burst => "burst",
        Scenario::Slow => "slow",
        Scenario::Storm => "storm",
        Scenario::Churn => "churn",
        Scenario::Recovery => "recovery",
        Scenario::Ramp => "ramp",
        Scenario::Channels => "channels",
        Scenario::Soak => "soak",
    }
}

/// Returns the question that the scenario answers.
pub(super) const fn question(config: &Config) -> &'static str {
    match config.load.scenario() {
        Scenario::Idle => "What does a connection cost while nothing happens?",
        Scenario::Fanout => "How fast does one message reach all receivers?",
        Scenario::Saturate => "How many deliveries per second can the server make?",
        Scenario::Chat => "What if all clients send to all clients?",
        Scenario::Burst => "What happens to messages that are sent in bursts?",
        Scenario::Slow => "What do receivers that stop reading cost the others, and the server?",
        Scenario::Storm => "How long until all clients are back after a cut?",
        Scenario::Churn => "What do arrivals and departures cost the clients that stay?",
        Scenario::Recovery => "What does it cost when many clients return and ask for what they missed?",
        Scenario::Ramp => "How much load until latency exceeds a limit?",
        Scenario::Channels => "What if the clients are spread over many channels?",
        Scenario::Soak => "Does anything grow with time?",
    }
}

/// Returns the load in one sentence.
pub(super) fn sentence(config: &Config) -> String {
    let (clients, size) = (count(config.clients as u64), config.size);
    let lasting = format!("for {}", format_duration(config.duration));
    let messages = |per_second: f64| format!("{} messages/s of {size} B", rate(per_second));
    match &config.load {
        Load::Idle { clients_low } => {
            format!("{} and then {clients} connections, held {lasting}.", count(*clients_low as u64))
        }
        Load::Fanout { rate } | Load::Soak { rate } => {
            format!("{} to {clients} receivers, {lasting}.", messages(*rate))
        }
        Load::Saturate { window } => {
            let window = count(*window as u64);
            format!("{window} messages of {size} B always in flight to {clients} receivers, {lasting}.")
        }
        Load::Chat { rate } => format!("{clients} members, each with {}, {lasting}.", messages(*rate)),
        Load::Burst { messages, every } => {
            let (burst, every) = (count(*messages as u64), format_duration(*every));
            format!("{burst} messages of {size} B at once, every {every}, to {clients} receivers, {lasting}.")
        }
        Load::Slow { rate, stalled } => {
            let (messages, stalled) = (messages(*rate), count(*stalled as u64));
            format!("{messages} to {clients} receivers, of which {stalled} stopped reading, {lasting}.")
        }
        Load::Storm { jitter, .. } => {
            let jitter = format_duration(*jitter);
            format!("{clients} clients cut off and reconnected: all at once, then spread over {jitter}.")
        }
        Load::Churn { rate: per_second, churn_rate, .. } => {
            let (messages, arrivals) = (messages(*per_second), rate(*churn_rate));
            format!("{messages} to {clients} receivers, {arrivals} of which left and returned per second, {lasting}.")
        }
        Load::Recovery { rate, leavers, missed, within } => {
            let (messages, leavers, missed) = (messages(*rate), count(*leavers as u64), count(*missed as u64));
            let within = format_duration(*within);
            format!(
                "{messages} to {clients} receivers, {leavers} of which missed {missed} and returned within {within}."
            )
        }
        Load::Ramp(ramp) => ramp_sentence(ramp, size, &clients),
        Load::Channels { rate, channels, subscriptions, .. } => {
            let (each, channels) = (count(*subscriptions as u64), count(*channels as u64));
            let messages = messages(*rate);
            format!("{messages} to {clients} clients with {each} of {channels} channels each, {lasting}.")
        }
    }
}

fn ramp_sentence(ramp: &RampLoad, size: usize, clients: &str) -> String {
    let limit = micros(ramp.p99_max.as_micros().try_into().unwrap_or(u64::MAX));
    let (from, by) = (rate(ramp.from), rate(ramp.step));
    let until = format!("until p99 exceeds {limit}");
    match ramp.axis {
        Axis::Clients => {
            let rate = rate(ramp.rate);
            format!("{rate} messages/s of {size} B to {from} receivers, and {by} more each step, {until}.")
        }
        Axis::Rate => {
            format!("{from} messages/s of {size} B to {clients} receivers, and {by}/s more each step, {until}.")
        }
    }
}

/// Returns the client protocol.
pub(super) const fn protocol(config: &Config) -> &'static str {
    match config.protocol {
        Protocol::Plain => "plain text",
        Protocol::Numbered => "numbered lines",
        Protocol::Centrifuge => "Centrifuge protocol",
        Protocol::CentrifugeProtobuf => "Centrifuge protocol in Protobuf",
        Protocol::Custom(_) => "a protocol of its own",
    }
}
