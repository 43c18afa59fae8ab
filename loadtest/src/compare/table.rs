//! A table: the comparison as it is read on a terminal, verdict first; a column per server, a row per figure.

use super::generator::RunOutcome;
use super::rounds::Comparison;
use super::rows::{Row, rows};
use super::stats::{Spread, Standing};
use crate::observe::host::Environment;
use crate::report::figures::Unit;

/// From here on counts and rates are written in thousands or millions, so that several columns fit on a screen.
const LARGE: f64 = 100_000.0;

/// Returns the outcome in one line.
pub(super) fn verdict(comparison: &Comparison<'_>) -> String {
    let (plan, made, failed) = (comparison.plan, comparison.made(), comparison.failed());
    let servers = plural(plan.server.len(), "server");
    let what = format!("{servers}, {}, {}", plural(plan.rounds, "round"), plan.scenario.name);
    match (comparison.is_interrupted, failed) {
        (true, _) => format!("INTERRUPTED: {made} of {} runs made; {what}", plan.rounds * plan.server.len()),
        (false, 0) => format!("COMPARED: {what}"),
        (false, _) => format!("FAIL: {failed} of {made} runs failed; {what}"),
    }
}

/// Returns the scenario as it is typed.
pub(super) fn scenario(comparison: &Comparison<'_>) -> String {
    comparison.plan.scenario.arguments(&Default::default()).join(" ")
}

/// Renders everything: verdict, failures, figures, the machine.
pub(super) fn render(comparison: &Comparison<'_>, environment: &Environment) -> String {
    let plan = comparison.plan;
    let mut text = format!("{}\n{}\n", verdict(comparison), scenario(comparison));
    if plan.has_different_loads() {
        text += "DIFFERENT LOADS: `flags` of the servers change the load, so no figure is better or worse\n";
    }
    for (server, runs) in plan.server.iter().zip(&comparison.runs) {
        text += &failures(&server.name, runs);
    }
    text += "\n";
    text += &grid(comparison);
    text += &legend(comparison);
    let Environment { cpu, kernel, cores, cores_allowed, .. } = environment;
    text + &format!("{cpu}, {cores_allowed} of {cores} cores, Linux {kernel}, loopback\n")
}

/// Returns names the runs of a server that did not pass, each reason once.
fn failures(name: &str, runs: &[RunOutcome]) -> String {
    let failed: Vec<&RunOutcome> = runs.iter().filter(|run| !run.is_pass()).collect();
    let mut reasons: Vec<&str> = failed.iter().map(|run| run.verdict.as_str()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    let (count, unused) = (failed.len(), failed.iter().filter(|run| run.figures.is_empty()).count());
    let unused = if unused > 0 { format!(" (without figures: {unused})") } else { String::new() };
    let heading = format!("  {name}: {count} of {} failed{unused}: ", plural(runs.len(), "run"));
    if failed.is_empty() { String::new() } else { format!("{heading}{}\n", reasons.join("; ")) }
}

/// Two cells of a server: the value, and its ratio to the first server's.
pub(super) type Cells = [String; 2];

/// Lines the columns up: labels and ratios to the left, values to the right.
fn grid(comparison: &Comparison<'_>) -> String {
    let servers = &comparison.plan.server;
    let mut lines: Vec<(&str, Vec<Cells>)> = Vec::new();
    lines.push(("", servers.iter().map(|server| value(server.name.clone())).collect()));
    lines.push(("runs passed", comparison.runs.iter().map(|runs| value(passed(runs))).collect()));
    let rows = rows(comparison);
    for row in &rows {
        lines.push((row.label, (0..servers.len()).map(|server| median(row, server)).collect()));
        let ends: Vec<_> = row.spreads.iter().map(|spread| ends(row.unit, spread.as_ref())).collect();
        if ends.iter().any(|ends| !ends.is_empty()) {
            lines.push(("", ends.into_iter().map(value).collect()));
        }
    }
    let labels = lines.iter().map(|(label, _)| width(label)).max().unwrap_or_default();
    let widest = |server: usize, cell: usize| lines.iter().map(|(_, cells)| width(&cells[server][cell])).max();
    let mut text = String::new();
    for (label, cells) in &lines {
        let mut line = format!("  {label:<labels$}");
        for (server, [value, ratio]) in cells.iter().enumerate() {
            let (values, ratios) = (widest(server, 0).unwrap_or_default(), widest(server, 1).unwrap_or_default());
            line += &format!("  {value:>values$} {ratio:<ratios$}");
        }
        text += line.trim_end();
        text += "\n";
    }
    text
}

fn value(text: String) -> Cells {
    [text, String::new()]
}

fn passed(runs: &[RunOutcome]) -> String {
    format!("{} of {}", runs.iter().filter(|run| run.is_pass()).count(), runs.len())
}

pub(super) fn median(row: &Row, server: usize) -> Cells {
    let Some(spread) = &row.spreads[server] else { return value("-".to_owned()) };
    let mark = match row.standing(server) {
        Some(Standing::Better) => " +",
        Some(Standing::Worse) => " -",
        Some(Standing::Alike) => " ~",
        None => "",
    };
    let ratio = row.ratio(server).map(ratio).unwrap_or_default();
    [written(row.unit, spread.median), format!("{ratio}{mark}")]
}

/// Returns the lowest and the highest value, with the unit once if both have the same; nothing if the values are equal.
fn ends(unit: Unit, spread: Option<&Spread>) -> String {
    let Some(spread) = spread else { return String::new() };
    let (min, max) = (written(unit, spread.min), written(unit, spread.max));
    if min == max {
        return String::new();
    }
    match (min.rsplit_once(' '), max.rsplit_once(' ')) {
        (Some((low, of_min)), Some((_, of_max))) if of_min == of_max => format!("{low}–{max}"),
        _ => format!("{min}–{max}"),
    }
}

/// Writes a figure as everywhere else, large counts excepted.
fn written(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Count | Unit::PerSecond if value >= 1e6 => format!("{:.2} M", value / 1e6),
        Unit::Count | Unit::PerSecond if value >= LARGE => format!("{:.0} k", value / 1e3),
        _ => unit.write(value),
    }
}

fn ratio(ratio: f64) -> String {
    match ratio {
        ..0.1 => format!("{ratio:.3}x"),
        ..10.0 => format!("{ratio:.2}x"),
        ..100.0 => format!("{ratio:.1}x"),
        _ => format!("{ratio:.0}x"),
    }
}

fn legend(comparison: &Comparison<'_>) -> String {
    let Some((first, [_, ..])) = comparison.plan.server.split_first() else { return "\n".to_owned() };
    let name = &first.name;
    if comparison.plan.has_different_loads() {
        return format!("\nmedians, with the lowest and highest run below; x: to {name}\n");
    }
    if comparison.plan.rounds == 1 {
        return format!("\nx: to {name}; one run each has no spread, use more rounds\n");
    }
    format!("\nmedians, with the lowest and highest run below; x: to {name}; + better, - worse, ~ the runs overlap\n")
}

pub(super) fn width(text: &str) -> usize {
    text.chars().count()
}

fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::plan::Plan;
    use crate::exit::{FAIL, INVALID, PASS};
    use crate::measure::histogram::Summary;
    use crate::report::figures::OF_PHASE;
    use crate::results::Phase;

    fn plan(servers: &[&str], rounds: usize) -> Plan {
        let mut text = format!("rounds = {rounds}\n[scenario]\nname = \"saturate\"\nclients = 10\n");
        for name in servers {
            text += &format!("[[server]]\nname = \"{name}\"\ncommand = [\"x\"]\nurl = \"ws://127.0.0.1:{{port}}\"\n");
        }
        Plan::parse(&text).unwrap()
    }

    fn run(round: usize, deliveries_per_second: f64, p99_us: u64) -> RunOutcome {
        let latency = Summary { count: 1, p99_us, ..Summary::default() };
        let phase = Phase { deliveries_per_second, latency, ..Phase::default() };
        let figures = OF_PHASE.iter().filter_map(|figure| figure.of(&phase)).collect();
        RunOutcome { round, verdict: "PASS".to_owned(), exit_code: PASS, figures }
    }

    fn line<'a>(text: &'a str, label: &str) -> Vec<&'a str> {
        let line = text.lines().find(|line| line.trim_start().starts_with(label)).unwrap_or_else(|| panic!("{text}"));
        line.split_whitespace().collect()
    }

    #[test]
    fn medians_ratios_and_ends_stand_below_each_other() {
        let plan = plan(&["a", "b"], 3);
        let a = [5.0e6, 5.2e6, 4.8e6].map(|rate| run(1, rate, 12_000)).to_vec();
        let b = [2.5e6, 2.6e6, 2.4e6].map(|rate| run(1, rate, 12_000)).to_vec();
        let comparison = Comparison { plan: &plan, runs: vec![a, b], is_interrupted: false };
        let text = render(&comparison, &Environment::new());
        assert!(text.starts_with("COMPARED: 2 servers, 3 rounds, saturate\nsaturate --clients=10\n"), "{text}");
        assert_eq!(line(&text, "deliveries/s"), ["deliveries/s", "5.00", "M", "2.50", "M", "0.50x", "-"]);
        assert!(text.contains("  4.80–5.20 M"), "{text}");
        assert!(line(&text, "latency p99").ends_with(&["1.00x", "~"]), "{text}");
        assert_eq!(line(&text, "runs passed"), ["runs", "passed", "3", "of", "3", "3", "of", "3"]);
        assert!(!text.contains("latency p50"), "0 everywhere is left out: {text}");
        assert!(text.lines().last().unwrap().ends_with("loopback"), "{text}");
    }

    #[test]
    fn failed_runs_are_named_and_invalid_ones_do_not_count() {
        let plan = plan(&["a", "b"], 2);
        let lossy = RunOutcome { verdict: "FAIL: 3 lost".to_owned(), exit_code: FAIL, ..run(2, 9.0e6, 1) };
        let invalid = RunOutcome::failed(2, "INVALID: generator-bound".to_owned(), INVALID);
        let runs = vec![vec![run(1, 1.0e6, 1), lossy], vec![run(1, 1.0e6, 1), invalid]];
        let text = render(&Comparison { plan: &plan, runs, is_interrupted: false }, &Environment::new());
        assert!(text.starts_with("FAIL: 2 of 4 runs failed; 2 servers, 2 rounds, saturate\n"), "{text}");
        assert!(text.contains("  a: 1 of 2 runs failed: FAIL: 3 lost\n"), "{text}");
        assert!(text.contains("  b: 1 of 2 runs failed (without figures: 1): INVALID: generator-bound\n"), "{text}");
        assert_eq!(line(&text, "deliveries/s"), ["deliveries/s", "5.00", "M", "1.00", "M", "0.20x"]);
    }

    #[test]
    fn absent_figures_are_dashes_and_a_single_server_has_no_ratios() {
        let two = plan(&["a", "b"], 1);
        let runs = vec![vec![run(1, 1.0e6, 1)], vec![RunOutcome::failed(1, "x".to_owned(), FAIL)]];
        let comparison = Comparison { plan: &two, runs, is_interrupted: true };
        assert!(verdict(&comparison).starts_with("INTERRUPTED: 2 of 2 runs made; 2 servers, 1 round"));
        let text = render(&comparison, &Environment::new());
        assert_eq!(line(&text, "deliveries/s"), ["deliveries/s", "1.00", "M", "-"]);
        let one = plan(&["a"], 1);
        let runs = vec![vec![run(1, 1.0e6, 1)]];
        let text = render(&Comparison { plan: &one, runs, is_interrupted: false }, &Environment::new());
        assert!(text.starts_with("COMPARED: 1 server, 1 round, saturate\n") && !text.contains("x:"), "{text}");
    }

    #[test]
    fn ends_share_a_unit_if_they_can() {
        let ends = |unit, values: [f64; 2]| ends(unit, Spread::of(values).as_ref());
        assert_eq!(ends(Unit::Latency, [12_000.0, 15_500.0]), "12.0–15.5 ms");
        assert_eq!(ends(Unit::Latency, [900.0, 1_100.0]), "900 µs–1.10 ms");
        assert_eq!(ends(Unit::Count, [1.0, 20.0]), "1–20");
        assert_eq!(ends(Unit::Each, [0.0161, 0.0164]), "");
        assert_eq!(ends(Unit::PerSecond, [95_000.0, 1.2e6]), "95,000–1.20 M");
        assert_eq!([0.0123, 0.5, 12.34, 1234.5].map(ratio), ["0.012x", "0.50x", "12.3x", "1234x"]);
    }
}
