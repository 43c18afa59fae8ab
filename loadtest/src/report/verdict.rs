//! A verdict: the result of checking the findings of a run, in one line, with notes on doubtful figures.

use super::asserts::Assert;
use crate::config::{Config, Scenario};
use crate::exit::{FAIL, INTERRUPTED, INVALID, PASS, RunError};
use crate::measure::CloseCount;
use crate::results::{Findings, GENERATOR_CPU_SHARE_MAX, Phase};
use crate::units::{count, percent};
use serde::{Deserialize, Serialize};

/// Above this share of stolen time, tail latencies are the hypervisor's.
const STOLEN_SHARE_MAX: f64 = 0.03;

/// A generator that waits longer for a core reads late, and latencies grow by it.
const WAITING_SHARE_NOTED: f64 = 0.05;

/// The verdict.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Verdict {
    /// The first line of the report.
    pub(crate) line: String,
    pub(crate) exit_code: u8,
    /// Notes that put the figures in doubt.
    pub(crate) notes: Vec<String>,
}

impl Verdict {
    /// Returns the verdict on a run that ended by itself, or by Ctrl-C.
    pub(crate) fn new(config: &Config, findings: &Findings, is_interrupted: bool) -> Self {
        if let Some(stop) = other_protocol(findings) {
            return Self::stopped(&stop, findings);
        }
        let mut faults = faults(findings);
        let bound = if is_interrupted { None } else { generator_bound(config, findings) };
        // A part of a run is not expected to show everything, and a starved generator shows itself and not the server.
        if !is_interrupted && bound.is_none() {
            faults.extend(shortcomings(config, findings));
        }
        let (word, exit_code) = match (bound.is_some(), faults.is_empty(), is_interrupted) {
            (true, ..) => ("INVALID", INVALID),
            (_, false, _) => ("FAIL", FAIL),
            (.., true) => ("INTERRUPTED", INTERRUPTED),
            _ => ("PASS", PASS),
        };
        if let Some(bound) = bound {
            faults.insert(0, bound);
        }
        if is_interrupted {
            faults.push("the figures are partial".to_owned());
        }
        let line = if faults.is_empty() { word.to_owned() } else { format!("{word}: {}", faults.join(", ")) };
        Self { line, exit_code, notes: notes(findings) }
    }

    /// Returns the verdict on a run that failed.
    pub(crate) fn stopped(stop: &RunError, findings: &Findings) -> Self {
        Self { line: format!("STOPPED: {stop}"), exit_code: stop.exit_code(), notes: notes(findings) }
    }
}

/// Returns why the figures are the generator's, or the machine's, and not the server's, if they are.
fn generator_bound(config: &Config, findings: &Findings) -> Option<String> {
    let largest = |share: fn(&Phase) -> f64| findings.phases.iter().map(share).fold(0.0, f64::max);
    let rounds = findings.storm.iter().flat_map(|storm| &storm.rounds).map(|round| round.generator_waiting_share);
    let waiting = rounds.fold(largest(|phase| phase.generator.waiting_share), f64::max);
    let limit = config.generator_waiting_max;
    if waiting > limit {
        let waiting = percent(waiting);
        return Some(format!("the generator waited {waiting} of the time for a core, so it read late"));
    }
    let stolen = largest(|phase| phase.stolen_share);
    if stolen > limit {
        return Some(format!("the hypervisor took {} of the time", percent(stolen)));
    }
    let busiest = largest(|phase| phase.generator.cpu_share);
    // In a closed loop the figures of a busy generator are a lower bound.
    if busiest > GENERATOR_CPU_SHARE_MAX && config.load.scenario() != Scenario::Saturate {
        return Some(format!("the generator was the bottleneck (CPU {:.0} %)", busiest * 100.0));
    }
    let ramp = findings.ramp.as_ref().filter(|ramp| ramp.is_generator_bound)?;
    Some(ramp.summary())
}

/// Returns the error for a server that never sent a record back: it speaks another protocol.
fn other_protocol(findings: &Findings) -> Option<RunError> {
    let accounting = &findings.accounting;
    let unexpected = accounting.first_unexpected.as_ref().filter(|_| accounting.counts.verified == 0)?;
    let text =
        format!("the server speaks another protocol: none of its lines is a record, the first began with {unexpected}");

    Some(RunError::Protocol(text))
}

/// Lists faults of the deliveries and connections.
fn faults(findings: &Findings) -> Vec<String> {
    let counts = &findings.accounting.counts;
    let kinds = [
        (counts.lost, "lost"),
        (counts.duplicated, "duplicated"),
        (counts.reordered, "reordered"),
        (counts.corrupt, "corrupt"),
        (counts.merged, "merged"),
        (counts.split, "split"),
    ];
    let counted = kinds.into_iter().filter(|(number, _)| *number > 0);
    let mut faults: Vec<String> = counted.map(|(number, kind)| format!("{} {kind}", count(number))).collect();
    let refused = findings.accounting.unaccepted_by_api;
    if refused > 0 {
        faults.push(format!("{} not accepted by the API", count(refused)));
    }
    let incomplete = findings.recovery.as_ref().map_or(0, |recovery| recovery.incomplete);
    if incomplete > 0 {
        faults.push(format!("{} recovered incompletely", count(incomplete)));
    }
    for CloseCount { code, reason, count, .. } in &findings.closes {
        let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
        faults.push(format!("{count} closed with {code}{reason}"));
    }
    faults
}

/// Lists expectations that were not met.
fn shortcomings(config: &Config, findings: &Findings) -> Vec<String> {
    let mut faults = Vec::new();
    for round in findings.storm.iter().flat_map(|storm| &storm.rounds) {
        if round.back < round.clients {
            let missing = count((round.clients - round.back) as u64);
            faults.push(format!("{missing} of {} never came back", count(round.clients as u64)));
        }
    }
    if let Some(recovery) = findings.recovery.as_ref().filter(|recovery| recovery.back < recovery.left) {
        let missing = count((recovery.left - recovery.back) as u64);
        faults.push(format!("{missing} of {} never came back", count(recovery.left as u64)));
    }
    if findings.ramp.as_ref().is_some_and(|ramp| ramp.held.is_none()) {
        faults.push("the first step did not hold".to_owned());
    }
    // What was due in the window and came after it was delivered too late, and that is what the latencies say.
    let is_silent = findings.phases.iter().all(|phase| phase.deliveries == 0 && phase.latency.count == 0);
    if is_silent && !findings.phases.is_empty() {
        faults.push("nothing was delivered".to_owned());
    }
    let asserts = config.asserts.iter().filter_map(|text| Assert::parse(text).ok());
    faults.extend(asserts.filter_map(|assert| assert.fault(findings)));
    faults
}

/// Lists reasons to doubt the figures.
fn notes(findings: &Findings) -> Vec<String> {
    let mut notes = Vec::new();
    let is_late = |phase: &Phase| phase.deliveries == 0 && phase.latency.count > 0;
    if findings.phases.iter().any(is_late) {
        notes.push("nothing was delivered in the time that was measured: all of it came later".to_owned());
    }
    if let Some(unexpected) = &findings.accounting.first_unexpected {
        notes.push(format!("the first line that was not a record began with: {unexpected}"));
    }
    let unaccepted = findings.accounting.unaccepted;
    if unaccepted > 0 {
        notes.push(format!("{} messages of publishers that were closed reached no client", count(unaccepted)));
    }
    if let Some(ramp) = &findings.ramp {
        notes.push(ramp.summary());
    }
    findings.phases.iter().for_each(|phase| doubt(phase, &mut notes));
    notes
}

/// Adds reasons to doubt the figures of a phase.
fn doubt(phase: &Phase, notes: &mut Vec<String>) {
    let name = &phase.name;
    if phase.stolen_share > STOLEN_SHARE_MAX {
        let share = percent(phase.stolen_share);
        notes.push(format!("{name}: {share} of the time was stolen by the hypervisor: repeat it"));
    }
    if phase.generator.cpu_share > GENERATOR_CPU_SHARE_MAX {
        let share = percent(phase.generator.cpu_share);
        notes.push(format!("{name}: the generator used {share} of its core: the server may be able to do more"));
    }
    if phase.generator.waiting_share > WAITING_SHARE_NOTED {
        let share = percent(phase.generator.waiting_share);
        notes.push(format!(
            "{name}: the generator waited {share} of the time for a core: give it one that nothing else uses"
        ));
    }
    if phase.latency.count == 0 {
        notes.push(format!("{name}: no message fell into the window: raise --rate or --duration"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::config;
    use crate::exit::GONE;
    use crate::results::{Ramp, Round, Step, Storm};

    /// Judges a run of `line` that delivered something while the generator used `cpu_share` of its core.
    fn verdict(line: &str, cpu_share: f64, change: impl FnOnce(&mut Findings)) -> Verdict {
        let mut phase = Phase { deliveries: 1, ..Phase::default() };
        phase.generator.cpu_share = cpu_share;
        let mut findings = Findings { phases: vec![phase], ..Findings::default() };
        change(&mut findings);
        Verdict::new(&config(line), &findings, false)
    }

    #[test]
    fn clean_run_passes() {
        let verdict = verdict("loadtest fanout", 0.8, |_| {});
        assert_eq!((verdict.line.as_str(), verdict.exit_code), ("PASS", PASS));
    }

    #[test]
    fn every_fault_is_in_the_headline() {
        let close = CloseCount { code: 1006, reason: String::new(), count: 1 };
        let verdict = verdict("loadtest fanout --assert lost<3", 0.1, |findings| {
            findings.accounting.counts.lost = 3;
            findings.closes.push(close);
        });
        let line = "FAIL: 3 lost, 1 closed with 1006, lost 3 is not < 3";
        assert_eq!((verdict.line.as_str(), verdict.exit_code), (line, FAIL));
    }

    /// Figures of a busy generator are invalid in an open loop. In a closed loop they are a lower bound.
    #[test]
    fn busy_generator_is_invalid_in_an_open_loop_only() {
        let verdict_open = verdict("loadtest chat", 0.93, |_| {});
        assert_eq!(verdict_open.line, "INVALID: the generator was the bottleneck (CPU 93 %)");
        assert_eq!(verdict_open.exit_code, INVALID);
        let verdict_closed = verdict("loadtest saturate", 0.93, |_| {});
        assert_eq!(verdict_closed.exit_code, PASS);
        assert!(verdict_closed.notes.iter().any(|note| note.contains("93.0 %")));
    }

    /// Latencies of a generator that did not run are not the server's, so no condition on them is held against it.
    #[test]
    fn starved_generator_is_invalid_and_no_condition_is_judged() {
        for scenario in ["fanout", "saturate", "storm", "chat"] {
            let line = format!("loadtest {scenario} --assert p99<50ms --assert deliveries_per_s>1e6");
            let verdict = verdict(&line, 0.3, |findings| findings.phases[0].generator.waiting_share = 0.533);
            let expected = "INVALID: the generator waited 53.3 % of the time for a core, so it read late";
            assert_eq!((verdict.line.as_str(), verdict.exit_code), (expected, INVALID), "{scenario}");
            assert!(verdict.notes[0].contains("that nothing else uses"), "{:?}", verdict.notes);
        }
        let stolen = verdict("loadtest fanout", 0.3, |findings| findings.phases[0].stolen_share = 0.2);
        assert_eq!(stolen.line, "INVALID: the hypervisor took 20.0 % of the time");
        let limit = "loadtest fanout --generator-waiting-max 0.6";
        let allowed = verdict(limit, 0.3, |findings| findings.phases[0].generator.waiting_share = 0.533);
        assert_eq!((allowed.line.as_str(), allowed.exit_code), ("PASS", PASS));
    }

    /// What was lost stands in the verdict all the same, since it was counted.
    #[test]
    fn starved_generator_still_reports_what_was_lost() {
        let verdict = verdict("loadtest fanout", 0.3, |findings| {
            findings.phases[0].generator.waiting_share = 0.2;
            findings.accounting.counts.lost = 3;
        });
        assert!(verdict.line.starts_with("INVALID: ") && verdict.line.ends_with(", 3 lost"), "{}", verdict.line);
    }

    #[test]
    fn starved_generator_makes_a_storm_invalid() {
        let verdict = verdict("loadtest storm", 0.1, |findings| {
            let round = Round { back: 990, clients: 1000, generator_waiting_share: 0.4, ..Round::default() };
            findings.storm = Some(Storm { rounds: vec![round] });
        });
        assert!(verdict.line.starts_with("INVALID: the generator waited 40.0 %"), "{}", verdict.line);
        assert!(!verdict.line.contains("never came back"), "{}", verdict.line);
    }

    #[test]
    fn ramp_that_the_generator_ended_is_invalid_and_names_no_knee() {
        let verdict = verdict("loadtest ramp", 0.1, |findings| {
            findings.ramp = Some(Ramp {
                axis: crate::config::Axis::Clients,
                p99_max_us: 1,
                steps: vec![Step { clients: 500, is_within: true, ..Step::default() }, Step::default()],
                knee: None,
                held: Some(0),
                is_generator_bound: true,
                end: "the generator used 91.0 % of its core".to_owned(),
            });
        });
        let line = "INVALID: no knee up to 500 clients: the generator used 91.0 % of its core";
        assert_eq!((verdict.line.as_str(), verdict.exit_code), (line, INVALID));
    }

    /// Ctrl-C in a warm-up leaves a window of some microseconds, in which nothing was delivered by a busy generator.
    #[test]
    fn part_of_a_run_is_not_judged_as_a_whole() {
        let mut findings = Findings { phases: vec![Phase::default()], ..Findings::default() };
        findings.phases[0].generator.cpu_share = 0.99;
        let config = config("loadtest fanout --assert p99<1ms");
        let verdict = Verdict::new(&config, &findings, true);
        assert_eq!((verdict.line.as_str(), verdict.exit_code), ("INTERRUPTED: the figures are partial", INTERRUPTED));
        findings.accounting.counts.lost = 3;
        assert_eq!(Verdict::new(&config, &findings, true).line, "FAIL: 3 lost, the figures are partial");
    }

    #[test]
    fn silence_is_a_fault() {
        let late = verdict("loadtest fanout", 0.1, |findings| {
            findings.phases[0].deliveries = 0;
            findings.phases[0].latency.count = 1;
        });
        assert_eq!((late.line.as_str(), late.exit_code), ("PASS", PASS));
        assert!(late.notes[0].contains("all of it came later"), "{:?}", late.notes);
        let silent = verdict("loadtest fanout", 0.1, |findings| {
            findings.phases[0].deliveries = 0;
            findings.phases[0].latency.count = 0;
        });
        assert_eq!((silent.line.as_str(), silent.exit_code), ("FAIL: nothing was delivered", FAIL));
    }

    #[test]
    fn client_that_never_comes_back_is_a_fault() {
        let verdict = verdict("loadtest storm", 0.1, |findings| {
            let round = Round { back: 990, clients: 1000, ..Round::default() };
            findings.storm = Some(Storm { rounds: vec![round] });
        });
        assert_eq!(verdict.line, "FAIL: 10 of 1,000 never came back");
    }

    #[test]
    fn ramp_without_a_step_that_holds_fails() {
        let verdict = verdict("loadtest ramp", 0.1, |findings| {
            findings.ramp = Some(Ramp {
                axis: crate::config::Axis::Clients,
                p99_max_us: 1,
                steps: vec![Step::default()],
                knee: None,
                held: None,
                is_generator_bound: false,
                end: "p99".to_owned(),
            });
        });
        assert_eq!(verdict.line, "FAIL: the first step did not hold");
    }

    #[test]
    fn stop_keeps_its_code() {
        let verdict = Verdict::stopped(&RunError::Gone("it left".to_owned()), &Findings::default());
        assert_eq!((verdict.line.as_str(), verdict.exit_code), ("STOPPED: it left", GONE));
    }
}
