//! The words of a page: what was asked, what was done, and how it ended.

use humantime::format_duration;

use crate::config::{Axis, Config, Scenario};
use crate::report::Report;
use crate::report::html::Run;
use crate::report::text::{count, micros, rate};
use crate::stop::{INTERRUPTED, INVALID, PASS};
use crate::wire::face::Face;

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

    /// A shape that is told apart without colour.
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Pass => "\u{2713}",
            Self::Interrupted => "\u{2026}",
            Self::Invalid => "?",
            Self::Fail => "\u{2715}",
        }
    }
}

/// The name of the page.
pub(super) fn title(runs: &[Run<'_>]) -> String {
    match runs {
        [] => "loadtest".to_owned(),
        [run] => {
            let word = run.report.verdict.line.split(':').next().unwrap_or_default();
            format!("{word}: {} of {} - loadtest", scenario(&run.report.config), run.report.config.url)
        }
        [first, ..] => format!("{} runs of {} compared - loadtest", runs.len(), scenario(&first.report.config)),
    }
}

/// The scenario, as the command line names it.
pub(super) const fn scenario(config: &Config) -> &'static str {
    match config.scenario {
        Scenario::Idle => "idle",
        Scenario::Fanout => "fanout",
        Scenario::Saturate => "saturate",
        Scenario::Chat => "chat",
        Scenario::Burst => "burst",
        Scenario::Slow => "slow",
        Scenario::Storm => "storm",
        Scenario::Churn => "churn",
        Scenario::Ramp => "ramp",
        Scenario::Channels => "channels",
        Scenario::Soak => "soak",
    }
}

/// What the scenario asks.
pub(super) const fn question(config: &Config) -> &'static str {
    match config.scenario {
        Scenario::Idle => "What does a connection cost while nothing happens?",
        Scenario::Fanout => "How fast does one message reach everybody?",
        Scenario::Saturate => "How many deliveries per second can it make?",
        Scenario::Chat => "What if everybody talks to everybody?",
        Scenario::Burst => "What happens to messages that come many at a time?",
        Scenario::Slow => "What do receivers that stop reading cost the others, and the server?",
        Scenario::Storm => "How long until everybody is back after a cut?",
        Scenario::Churn => "What do arrivals and departures cost those who stay?",
        Scenario::Ramp => "How far does it go until latency breaks a limit?",
        Scenario::Channels => "What if the same people stand in many channels?",
        Scenario::Soak => "Does anything grow with time?",
    }
}

/// What was done, in one line.
pub(super) fn deed(config: &Config) -> String {
    let clients = count(config.clients as u64);
    let messages = format!("{} messages/s of {} B", rate(config.rate), config.size);
    let lasting = format!("for {}", format_duration(config.duration));
    match config.scenario {
        Scenario::Idle => {
            format!("{} and then {clients} connections, held {lasting}.", count(config.clients_low as u64))
        }
        Scenario::Fanout | Scenario::Soak => format!("{messages} to {clients} receivers, {lasting}."),
        Scenario::Saturate => {
            let window = count(config.window as u64);
            format!("{window} messages of {} B always under way to {clients} receivers, {lasting}.", config.size)
        }
        Scenario::Chat => format!("{clients} members, each with {messages}, {lasting}."),
        Scenario::Burst => {
            let (burst, every) = (count(config.burst as u64), format_duration(config.every));
            format!("{burst} messages of {} B at once, every {every}, to {clients} receivers, {lasting}.", config.size)
        }
        Scenario::Slow => {
            let stalled = count(config.stalled as u64);
            format!("{messages} to {clients} receivers, of which {stalled} stopped reading, {lasting}.")
        }
        Scenario::Storm => {
            let jitter = format_duration(config.jitter);
            format!("{clients} clients cut off, and back: all at once, then spread over {jitter}.")
        }
        Scenario::Churn => {
            let arrivals = rate(config.churn_rate);
            format!("{messages} to {clients} receivers, {arrivals} of which came and went per second, {lasting}.")
        }
        Scenario::Ramp => ramp(config, &clients),
        Scenario::Channels => {
            let (each, channels) = (count(config.subscriptions as u64), count(config.channels as u64));
            format!("{messages} to {clients} clients with {each} of {channels} channels each, {lasting}.")
        }
    }
}

fn ramp(config: &Config, clients: &str) -> String {
    let limit = micros(config.p99_max.as_micros().try_into().unwrap_or(u64::MAX));
    let (from, by, size) = (rate(config.ramp_from), rate(config.ramp_step), config.size);
    let until = format!("until p99 is over {limit}");
    match config.axis {
        Axis::Clients => {
            let rate = rate(config.rate);
            format!("{rate} messages/s of {size} B to {from} receivers, and {by} more each step, {until}.")
        }
        Axis::Rate => {
            format!("{from} messages/s of {size} B to {clients} receivers, and {by}/s more each step, {until}.")
        }
    }
}

/// How the server was spoken to.
pub(super) const fn face(config: &Config) -> &'static str {
    match config.face {
        Face::Plain => "plain text",
        Face::Centrifuge => "Centrifuge protocol",
        Face::Custom(_) => "a protocol of its own",
    }
}
