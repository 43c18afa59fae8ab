//! A report: the findings of a run, the verdict on them, and the JSON of both.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::cli::{Config, Scenario};
use crate::clock::seconds;
use crate::closes::CloseCount;
use crate::host::Environment;
use crate::phase::Phase;
use crate::scenario::{Idle, Slow};
use crate::stop::{FAIL, INTERRUPTED, INVALID, PASS};
use crate::tally::Counts;
use crate::text::{count, percent};
use crate::watch::Moment;

/// A generator that uses more of its core has no time left to prove that it is not the bottleneck.
const CPU_SHARE_MAX: f64 = 0.8;

/// Above this share of stolen time, tail latencies are the hypervisor's.
const STOLEN_SHARE_MAX: f64 = 0.03;

/// A generator that waits longer for a core reads late, and latencies grow by it.
const WAITING_SHARE_MAX: f64 = 0.1;

/// What a scenario found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Findings {
    pub(crate) connections: Connections,
    pub(crate) accounting: Accounting,
    /// Connections that the server ended and was not meant to.
    pub(crate) closes: Vec<CloseCount>,
    pub(crate) phases: Vec<Phase>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idle: Option<Idle>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) slow: Option<Slow>,
}

impl Findings {
    /// Starts with what all scenarios have.
    pub(crate) const fn new(connections: Connections, accounting: Accounting, closes: Vec<CloseCount>) -> Self {
        Self { connections, accounting, closes, phases: Vec::new(), idle: None, slow: None }
    }
}

/// How connecting went.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Connections {
    pub(crate) opened: usize,
    /// Those that the next two figures are about: in `idle`, the second step.
    pub(crate) timed: usize,
    pub(crate) seconds: f64,
    pub(crate) server_cpu_us_per_connection: Option<f64>,
}

impl Connections {
    /// Takes stock of `opened` connections, the last `timed` of which took `took`.
    pub(crate) fn new(opened: usize, timed: usize, took: Duration, before: &Moment, after: &Moment) -> Self {
        let cpu = before.server.zip(after.server).map(|(before, after)| seconds(before.total_ns, after.total_ns));
        let server_cpu_us_per_connection = cpu.map(|cpu| cpu * 1e6 / timed.max(1) as f64);
        Self { opened, timed, seconds: took.as_secs_f64(), server_cpu_us_per_connection }
    }
}

/// Where every delivery went.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Accounting {
    /// Deliveries that were due: each message to each connection that reads, the publisher's own copy included.
    pub(crate) expected: u64,
    #[serde(flatten)]
    pub(crate) counts: Counts,
    /// Due to connections that the server had closed.
    pub(crate) undelivered_closed: u64,
    /// Messages, not deliveries, that were sent by publishers whom the server closed, and reached nobody.
    pub(crate) unaccepted: u64,
    /// The start of the first line that was no record.
    pub(crate) first_stranger: Option<String>,
}

/// The judgement.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    /// The first line of the report.
    pub(crate) line: String,
    pub(crate) exit_code: u8,
    /// What a reader should know before believing the figures.
    pub(crate) notes: Vec<String>,
}

/// Everything that is written to the JSON file.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) verdict: Verdict,
    pub(crate) config: Config,
    pub(crate) environment: Environment,
    pub(crate) results: Findings,
}

impl Report {
    /// Writes the file.
    ///
    /// # Errors
    ///
    /// Fails when the file can not be written.
    pub(crate) fn write_json(&self, path: &Path) -> Result<()> {
        let file = File::create(path).with_context(|| format!("failed to create {}", path.display()))?;
        serde_json::to_writer_pretty(BufWriter::new(file), self)
            .with_context(|| format!("failed to write {}", path.display()))
    }
}

impl Verdict {
    /// Judges a run.
    pub(crate) fn new(config: &Config, findings: &Findings, is_interrupted: bool) -> Self {
        let mut faults = faults(findings);
        let busiest = findings.phases.iter().map(|phase| phase.generator.cpu_share).fold(0.0, f64::max);
        let is_bound = busiest > CPU_SHARE_MAX && config.scenario != Scenario::Saturate;
        let (word, exit_code) = match (is_bound, faults.is_empty(), is_interrupted) {
            (true, ..) => ("INVALID", INVALID),
            (_, false, _) => ("FAIL", FAIL),
            (.., true) => ("INTERRUPTED", INTERRUPTED),
            _ => ("PASS", PASS),
        };
        if is_bound {
            faults.insert(0, format!("generator-bound (CPU {:.0} %)", busiest * 100.0));
        }
        if is_interrupted {
            faults.push("the figures are partial".to_owned());
        }
        let line = if faults.is_empty() { word.to_owned() } else { format!("{word}: {}", faults.join(", ")) };
        Self { line, exit_code, notes: notes(findings) }
    }
}

/// Lists what must not happen and did.
fn faults(findings: &Findings) -> Vec<String> {
    let counts = &findings.accounting.counts;
    let kinds = [
        (counts.lost, "lost"),
        (counts.duplicated, "duplicated"),
        (counts.reordered, "reordered"),
        (counts.corrupt, "corrupt"),
        (counts.joined, "joined"),
        (counts.split, "split"),
    ];
    let counted = kinds.into_iter().filter(|(number, _)| *number > 0);
    let mut faults: Vec<String> = counted.map(|(number, kind)| format!("{} {kind}", count(number))).collect();
    for CloseCount { code, reason, count, .. } in &findings.closes {
        let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
        faults.push(format!("{count} closed with {code}{reason}"));
    }
    let is_silent = findings.phases.iter().all(|phase| phase.deliveries == 0);
    if is_silent && !findings.phases.is_empty() {
        faults.push("nothing was delivered".to_owned());
    }
    faults
}

/// Lists what puts the figures in doubt without making them wrong.
fn notes(findings: &Findings) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(stranger) = &findings.accounting.first_stranger {
        notes.push(format!("the first line that was no record began with: {stranger}"));
    }
    let unaccepted = findings.accounting.unaccepted;
    if unaccepted > 0 {
        notes.push(format!("{} messages of publishers that were closed reached nobody", count(unaccepted)));
    }
    for phase in &findings.phases {
        let name = phase.name;
        if phase.stolen_share > STOLEN_SHARE_MAX {
            notes.push(format!(
                "{name}: {} of the time was stolen by the hypervisor: repeat it",
                percent(phase.stolen_share)
            ));
        }
        if phase.generator.cpu_share > CPU_SHARE_MAX {
            let share = percent(phase.generator.cpu_share);
            notes.push(format!("{name}: the generator used {share} of its core: the server may be able to do more"));
        }
        if phase.generator.waiting_share > WAITING_SHARE_MAX {
            let share = percent(phase.generator.waiting_share);
            notes
                .push(format!("{name}: the generator waited {share} of the time for a core: pin it to one of its own"));
        }
        if phase.latency.count == 0 {
            notes.push(format!("{name}: no message fell into the window: raise --rate or --duration"));
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    /// Judges a run of `scenario` that delivered something while the generator used `cpu_share` of its core.
    fn verdict(scenario: &str, cpu_share: f64, change: impl FnOnce(&mut Findings)) -> Verdict {
        let config = Cli::try_parse_from(["loadtest", scenario]).unwrap().into_config().unwrap();
        let mut phase = Phase { deliveries: 1, ..Phase::default() };
        phase.generator.cpu_share = cpu_share;
        let mut findings = Findings::new(Connections::default(), Accounting::default(), Vec::new());
        findings.phases.push(phase);
        change(&mut findings);
        Verdict::new(&config, &findings, false)
    }

    #[test]
    fn clean_run_passes() {
        let verdict = verdict("fanout", 0.8, |_| {});
        assert_eq!((verdict.line.as_str(), verdict.exit_code), ("PASS", PASS));
    }

    #[test]
    fn every_fault_is_in_the_headline() {
        let close = CloseCount { code: 1006, reason: String::new(), count: 1 };
        let verdict = verdict("fanout", 0.1, |findings| {
            findings.accounting.counts.lost = 3;
            findings.closes.push(close);
        });
        assert_eq!((verdict.line.as_str(), verdict.exit_code), ("FAIL: 3 lost, 1 closed with 1006", FAIL));
    }

    /// Figures of a busy generator are worthless in an open loop. A closed loop only says less than the server can do.
    #[test]
    fn busy_generator_is_invalid_in_an_open_loop_only() {
        let verdict_open = verdict("chat", 0.93, |_| {});
        assert_eq!(verdict_open.line, "INVALID: generator-bound (CPU 93 %)");
        assert_eq!(verdict_open.exit_code, INVALID);
        let verdict_closed = verdict("saturate", 0.93, |_| {});
        assert_eq!(verdict_closed.exit_code, PASS);
        assert!(verdict_closed.notes.iter().any(|note| note.contains("93.0 %")));
    }

    #[test]
    fn silence_is_a_fault() {
        let verdict = verdict("fanout", 0.1, |findings| findings.phases[0].deliveries = 0);
        assert_eq!((verdict.line.as_str(), verdict.exit_code), ("FAIL: nothing was delivered", FAIL));
    }
}
