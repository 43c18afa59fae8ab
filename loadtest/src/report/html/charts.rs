//! The charts of a page: which lines are drawn, in which colour.
//!
//! A colour is a run; if there is one run only, a quantity.

use super::named_report::NamedReport;
use super::plots::{bands, clock, over_time, returned, series, spectrum};
use crate::config::{Axis as RampAxis, Scenario};
use crate::report::chart::{Axis, Band, Chart, Line, Mark, Scale, Series, draw};
use crate::report::figures::Unit;
use crate::results::{Sample, Step};
use crate::units::{count, micros, rate};

/// With more runs in one chart, the highest latency of each second hides what is below it.
const MAXIMA_RUNS_MAX: usize = 2;

/// With more phases, their spectra cannot be distinguished.
const SPECTRA_MAX: usize = 4;

/// Everything that can be drawn of these runs; the picture that answers the question comes first.
pub(super) fn section(runs: &[NamedReport<'_>]) -> String {
    let own = [returns(runs), ramp(runs, "Latency", Scale::Log, &LATENCIES)];
    let common = [latency(runs), spectra(runs)];
    let flow = [
        timeline(
            runs,
            "Deliveries per second",
            Unit::PerSecond,
            &[((0, "deliveries"), Line::Solid, |sample| Some(sample.deliveries_per_second))],
        ),
        timeline(
            runs,
            "Messages per second",
            Unit::PerSecond,
            &[((0, "messages"), Line::Solid, |sample| Some(sample.sent_per_second))],
        ),
        ramp(runs, "Deliveries per second", Scale::Linear, &DELIVERIES),
        ramp(runs, "CPU", Scale::Linear, &SHARES),
        connections(runs),
    ];
    let resources =
        [timeline(runs, "Memory", Unit::Bytes, &MEMORY), timeline(runs, "CPU, of one core", Unit::Share, &CPU)];
    let charts = own.into_iter().chain(common).chain(flow).chain(resources);
    let html: String = charts.flatten().filter_map(|chart| draw(&chart)).collect();
    if html.is_empty() {
        return html;
    }
    format!("<section>\n<h2>Charts</h2>\n<div class=\"charts\">\n{html}</div>\n</section>\n")
}

/// A quantity of a second: its colour if there is one run and its name, its line if there are more, where it stands.
type OfSample = ((usize, &'static str), Line, fn(&Sample) -> Option<f64>);

/// A quantity of a step.
type OfStep = ((usize, &'static str), Line, Unit, fn(&Step) -> Option<f64>);

const MEMORY: [OfSample; 2] = [
    ((0, "server RSS"), Line::Solid, |sample| sample.server_rss.map(|bytes| bytes as f64)),
    ((1, "kernel TCP buffers"), Line::Dashed, |sample| Some(sample.kernel_tcp as f64)),
];

const CPU: [OfSample; 2] = [
    ((0, "server"), Line::Solid, |sample| sample.server_cpu_share),
    ((1, "generator"), Line::Dashed, |sample| Some(sample.generator_cpu_share)),
];

const LATENCIES: [OfStep; 2] = [
    ((1, "p99"), Line::Solid, Unit::Latency, |step| (step.p99_us > 0).then_some(step.p99_us as f64)),
    ((0, "p50"), Line::Dashed, Unit::Latency, |step| (step.p50_us > 0).then_some(step.p50_us as f64)),
];

const DELIVERIES: [OfStep; 1] =
    [((0, "deliveries"), Line::Solid, Unit::PerSecond, |step| Some(step.deliveries_per_second))];

const SHARES: [OfStep; 2] = [
    ((0, "server"), Line::Solid, Unit::Share, |step| step.server_cpu_share),
    ((1, "generator"), Line::Dashed, Unit::Share, |step| Some(step.generator_cpu_share)),
];

/// Returns the stages of the first run: those of the others are much the same.
fn stages(runs: &[NamedReport<'_>]) -> Vec<Band> {
    runs.first().map_or_else(Vec::new, |run| bands(&run.report.results, clock(runs).1))
}

fn timeline(runs: &[NamedReport<'_>], title: &str, unit: Unit, quantities: &[OfSample]) -> Option<Chart> {
    let (x, scale) = clock(runs);
    let mut lines = Vec::new();
    for run in runs {
        for (key, line, read) in quantities {
            lines.push(series(runs, run, key.0, key.1, *line, over_time(run, scale, read)));
        }
    }
    let y = Axis { title: axis_title(unit), scale: Scale::Linear, unit };
    // A line of zeros means that nothing was measured.
    let has_some = lines.iter().flat_map(|line| &line.points).any(|(_, y)| y.is_some_and(|y| y > 0.0));
    has_some.then(|| Chart { title: title.to_owned(), x, y, series: lines, bands: stages(runs), marks: Vec::new() })
}

const fn axis_title(unit: Unit) -> &'static str {
    match unit {
        Unit::PerSecond => "per second",
        Unit::Bytes => "bytes",
        Unit::Share => "share of a core",
        Unit::Latency => "latency, log scale",
        _ => "number",
    }
}

fn latency(runs: &[NamedReport<'_>]) -> Option<Chart> {
    // The highest first, as the eye finds them, and so that the lower ones are drawn over it.
    let mut quantities: Vec<OfSample> = Vec::new();
    if runs.len() <= MAXIMA_RUNS_MAX {
        quantities.push(((2, "max"), Line::Dotted, |sample| sample.max_us.map(|us| us as f64)));
    }
    quantities.push(((1, "p99"), Line::Solid, |sample| sample.p99_us.map(|us| us as f64)));
    quantities.push(((0, "p50"), Line::Dashed, |sample| sample.p50_us.map(|us| us as f64)));
    let mut chart = timeline(runs, "Latency over time", Unit::Latency, &quantities)?;
    chart.y.scale = Scale::Log;
    Some(chart)
}

/// Connections are worth a picture where they are meant to change.
fn connections(runs: &[NamedReport<'_>]) -> Option<Chart> {
    let scenario = runs.first()?.report.config.load.scenario();
    use Scenario::{Churn, Idle, Ramp, Recovery, Storm};
    let is_moving = matches!(scenario, Idle | Storm | Churn | Recovery | Ramp);
    let connected: OfSample = ((0, "connections"), Line::Solid, |sample| Some(sample.connected as f64));
    is_moving.then(|| timeline(runs, "Connections", Unit::Count, &[connected])).flatten()
}

fn spectra(runs: &[NamedReport<'_>]) -> Option<Chart> {
    let mut lines = Vec::new();
    let common = last_common_phase(runs);
    for run in runs {
        let results = &run.report.results;
        let knee = results.ramp.as_ref().and_then(|ramp| ramp.knee);
        let last = results.phases.len().saturating_sub(1);
        let is_shown = |number: usize| match runs.len() * results.phases.len() {
            ..=SPECTRA_MAX => true,
            _ if runs.len() > 1 => common.is_some_and(|name| results.phases[number].name == name),
            _ => number == 0 || number == last || Some(number) == knee,
        };
        for (number, phase) in results.phases.iter().enumerate().filter(|(number, _)| is_shown(*number)) {
            // Runs have a colour, so phases need a line; phases of one run have a colour of their own.
            let line = if runs.len() > 1 && number == 0 && last > 0 { Line::Dashed } else { Line::Solid };
            lines.push(series(runs, run, lines.len(), &phase.name, line, spectrum(&phase.latency.buckets)));
        }
    }
    Some(Chart {
        title: "Latency by percentile".to_owned(),
        x: Axis { title: "share of deliveries that were as fast", scale: Scale::Nines, unit: Unit::Share },
        y: Axis { title: axis_title(Unit::Latency), scale: Scale::Log, unit: Unit::Latency },
        series: lines,
        bands: Vec::new(),
        marks: Vec::new(),
    })
}

/// Returns the last phase that all runs went through: others cannot be compared.
fn last_common_phase<'a>(runs: &[NamedReport<'a>]) -> Option<&'a str> {
    let (first, others) = runs.split_first()?;
    let mut names = first.report.results.phases.iter().rev().map(|phase| phase.name.as_str());
    names.find(|name| others.iter().all(|run| run.report.results.phases.iter().any(|phase| phase.name == *name)))
}

/// Returns a quantity of each step against what was raised, with the knee, and the limit if it is a latency.
fn ramp(runs: &[NamedReport<'_>], title: &str, scale: Scale, quantities: &[OfStep]) -> Option<Chart> {
    let axis = runs.iter().find_map(|run| run.report.results.ramp.as_ref())?.axis;
    let unit = quantities.first()?.2;
    let (mut lines, mut marks) = (Vec::new(), Vec::new());
    let raised = |step: &Step| match axis {
        RampAxis::Clients => step.clients as f64,
        RampAxis::Rate => step.rate,
    };
    for run in runs {
        let Some(ramp) = run.report.results.ramp.as_ref().filter(|ramp| ramp.axis == axis) else { continue };
        for (key, line, _, read) in quantities {
            let mut points: Vec<_> = ramp.steps.iter().map(|step| (raised(step), read(step))).collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            lines.push(Series { has_dots: true, ..series(runs, run, key.0, key.1, *line, points) });
        }
        let limit = format!("limit {}", micros(ramp.p99_max_us));
        let is_drawn = |mark: &Mark| matches!(mark, Mark::Level { label, .. } if *label == limit);
        if unit == Unit::Latency && !marks.iter().any(is_drawn) {
            marks.push(Mark::Level { y: ramp.p99_max_us as f64, label: limit });
        }
        if let Some(step) = ramp.knee.and_then(|knee| ramp.steps.get(knee)) {
            let label = match axis {
                RampAxis::Clients => format!("knee {}", count(step.clients as u64)),
                RampAxis::Rate => format!("knee {}/s", rate(step.rate)),
            };
            marks.push(Mark::Place { x: raised(step), label, colour: run.colour });
        }
    }
    let (against, x) = match axis {
        RampAxis::Clients => ("clients", Axis { title: "clients", scale: Scale::Linear, unit: Unit::Count }),
        RampAxis::Rate => ("rate", Axis { title: "messages/s", scale: Scale::Linear, unit: Unit::PerSecond }),
    };
    let y = Axis { title: axis_title(unit), scale, unit };
    Some(Chart { title: format!("{title} against {against}"), x, y, series: lines, bands: Vec::new(), marks })
}

/// Returns the share of clients that were back, over time.
fn returns(runs: &[NamedReport<'_>]) -> Option<Chart> {
    let mut lines = Vec::new();
    for run in runs {
        for (number, round) in run.report.results.storm.iter().flat_map(|storm| &storm.rounds).enumerate() {
            let is_jittered = round.jitter_s > 0.0;
            let name =
                if is_jittered { format!("spread over {:.1} s", round.jitter_s) } else { "all at once".to_owned() };
            let line = if is_jittered { Line::Dashed } else { Line::Solid };
            lines.push(series(runs, run, number, &name, line, returned(round)));
        }
    }
    Some(Chart {
        title: "Clients back after the cut".to_owned(),
        x: Axis { title: "seconds since the cut", scale: Scale::Linear, unit: Unit::Each },
        y: Axis { title: "share of clients", scale: Scale::Linear, unit: Unit::Share },
        series: lines,
        bands: Vec::new(),
        marks: Vec::new(),
    })
}
