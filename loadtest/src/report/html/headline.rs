//! The top of a page: the verdict, the question, the figures that answer it, and doubts about them.

use super::named_report::NamedReport;
use super::words::{State, protocol, question, scenarios, sentence};
use crate::config::{Axis, Config, Load, RampLoad};
use crate::report::escape::escape;
use crate::report::figures;
use crate::units::count;
use humantime::format_rfc3339_seconds;
use std::time::{Duration, UNIX_EPOCH};

/// The main figures of a steady load.
const STEADY: &[&str] =
    &["deliveries_per_s", "p50", "p99", "max", "lost", "server_cpu_per_delivery", "server_rss_peak"];

/// Returns the verdict in large letters, the question and the load.
pub(super) fn header(runs: &[NamedReport<'_>]) -> String {
    let Some(first) = runs.first() else { return String::new() };
    let config = &first.report.config;
    let mut html = format!("<header>\n<p class=\"eyebrow\">loadtest <b>{}</b></p>\n", scenarios(runs));
    match runs {
        [run] => html += &verdict("h1", State::of(run.report), &run.report.verdict.line),
        _ => html += &verdicts(runs),
    }
    if let Some(differs) = runs.iter().find(|run| !run.has_same_load) {
        html += &format!(
            "<p class=\"differ\" role=\"note\"><b>Different loads:</b> {} and {} are not the same test, so no figure \
             is called better or worse.</p>\n",
            first.label(),
            differs.label()
        );
    }
    let mut questions: Vec<_> = runs.iter().map(|run| question(&run.report.config)).collect();
    questions.dedup();
    for question in questions {
        html += &format!("<p class=\"question\">{question}</p>\n");
    }
    // The same load is described once.
    let deeds: Vec<_> = runs.iter().map(|run| sentence(&run.report.config)).collect();
    if deeds.iter().all(|deed| *deed == deeds[0]) {
        html += &format!("<p class=\"deed\">{}</p>\n", escape(&deeds[0]));
    } else {
        for (run, deed) in runs.iter().zip(deeds) {
            html += &format!("<p class=\"deed\">{} {}</p>\n", run.label(), escape(&deed));
        }
    }
    if let [run] = runs {
        let time = escape(&time(run.report.environment.unix_time_s));
        html += &format!("<p class=\"deed\">{}, {}, {time}.</p>\n", escape(&config.url.to_string()), protocol(config));
    }
    html + "</header>\n"
}

/// One line for all runs, which is the heading, and one for each.
fn verdicts(runs: &[NamedReport<'_>]) -> String {
    let worst = runs.iter().map(|run| State::of(run.report)).max().unwrap_or(State::Pass);
    let passed = runs.iter().filter(|run| State::of(run.report) == State::Pass).count();
    let (word, len) = (worst.class().to_uppercase(), runs.len());
    let line = if passed == len {
        format!("{word}: all {len} runs")
    } else {
        format!("{word}: {passed} of {len} runs passed")
    };
    let mut html = verdict("h1", worst, &line) + "<ul class=\"verdicts\">\n";
    for run in runs {
        let line = verdict("span", State::of(run.report), &run.report.verdict.line);
        let time = escape(&time(run.report.environment.unix_time_s));
        html += &format!("<li>{}{line}<span class=\"when\">{time}</span></li>\n", run.label());
    }
    html + "</ul>\n"
}

fn verdict(tag: &str, state: State, line: &str) -> String {
    let (word, why) = line.split_once(':').unwrap_or((line, ""));
    let why =
        if why.is_empty() { String::new() } else { format!(" <span class=\"why\">{}</span>", escape(why.trim())) };
    format!(
        "<{tag} class=\"verdict {}\"><span class=\"sign\" aria-hidden=\"true\">{}</span>\
         <span class=\"word\">{}</span>{why}\
         </{tag}>\n",
        state.class(),
        state.sign(),
        escape(word)
    )
}

/// Returns a point in time, in UTC.
pub(super) fn time(unix_time_s: u64) -> String {
    UNIX_EPOCH.checked_add(Duration::from_secs(unix_time_s)).map_or_else(
        || "an unknown time".to_owned(),
        |time| format_rfc3339_seconds(time).to_string().replace('T', " ").replace('Z', " UTC"),
    )
}

/// Returns the keys of the figures that answer the question.
const fn keys(config: &Config) -> &'static [&'static str] {
    match &config.load {
        Load::Idle { .. } => &[
            "server_rss_per_connection",
            "server_pss_per_connection",
            "slab_per_connection",
            "idle_server_cpu",
            "connects_per_s",
            "handshake_p99",
        ],
        Load::Slow { .. } => &[
            "healthy_p99_ratio",
            "p50",
            "p99",
            "max",
            "lost",
            "stalled_ended",
            "server_rss_per_stalled",
            "kernel_tcp_per_stalled",
        ],
        Load::Storm { .. } => &[
            "back_99",
            "back_100",
            "jittered_back_99",
            "jittered_back_100",
            "refused",
            "storm_cpu_per_connection",
            "storm_rss_peak",
        ],
        Load::Churn { .. } => &["arrivals_per_s", "arrival_p99", "p50", "p99", "max", "lost", "server_rss_per_arrival"],
        Load::Recovery { .. } => &[
            "return_100",
            "recovered",
            "incomplete",
            "lost",
            "others_p99_ratio",
            "return_rss_before",
            "return_rss_peak",
        ],
        // The last phase is the one that broke the limit: its latency is no headline.
        Load::Ramp(RampLoad { axis: Axis::Clients, .. }) => {
            &["knee_clients", "held_clients", "held_deliveries_per_s", "lost", "server_rss_peak"]
        }
        Load::Ramp(RampLoad { axis: Axis::Rate, .. }) => {
            &["knee_rate", "held_rate", "held_deliveries_per_s", "lost", "server_rss_peak"]
        }
        Load::Channels { .. } => {
            &["deliveries_per_s", "p50", "p99", "max", "lost", "server_cpu_per_delivery", "server_rss_per_subscription"]
        }
        Load::Soak { .. } => &["rss_slope", "deliveries_per_s", "p50", "p99", "max", "lost", "server_cpu_per_delivery"],
        Load::Fanout { .. } | Load::Saturate { .. } | Load::Chat { .. } | Load::Burst { .. } => STEADY,
    }
}

/// Returns the figures that answer the question, large. With several runs, the first one's, and the others' below it.
pub(super) fn cards(runs: &[NamedReport<'_>]) -> String {
    let Some(first) = runs.first() else { return String::new() };
    let mut html = String::new();
    for key in keys(&first.report.config) {
        let values: Vec<_> = runs.iter().map(|run| figures::find(&run.report.results, key)).collect();
        let Some(known) = values.iter().flatten().next() else { continue };
        html += &format!("<div class=\"card\"><dt>{}</dt>", escape(known.label));
        if let ([run], Some(value)) = (runs, values[0]) {
            let written = value.unit.write(value.value);
            html += &format!("<dd><b>{}</b>{}</dd>", escape(&written), remark(run, key));
        } else {
            for (number, (run, value)) in runs.iter().zip(&values).enumerate() {
                let written = value.map_or_else(|| "\u{2013}".to_owned(), |value| value.unit.write(value.value));
                let change = if number == 0 { None } else { run.change(values[0], *value) };
                let change = change.map_or_else(String::new, |change| change.html());
                html += &format!(
                    "<dd title=\"{}\"><b class=\"run c{}\">{}</b>{change}</dd>",
                    escape(run.name),
                    run.colour,
                    escape(&written)
                );
            }
        }
        html += "</div>\n";
    }
    if html.is_empty() { html } else { format!("<dl class=\"cards\">\n{html}</dl>\n") }
}

/// Returns the reference that a figure has to be read with.
fn remark(run: &NamedReport<'_>, key: &str) -> String {
    let results = &run.report.results;
    let is_of_phase = figures::OF_PHASE.iter().any(|figure| figure.key == key);
    let text = match (key, results.phases.as_slice()) {
        ("lost", _) => format!("of {} expected", count(results.accounting.expected)),
        ("stalled_ended", _) => format!("of {}", count(results.slow.as_ref().map_or(0, |slow| slow.stalled) as u64)),
        (_, [.., _, last]) if is_of_phase => format!("in phase {}", last.name),
        _ => return String::new(),
    };
    format!("<small>{}</small>", escape(&text))
}

/// Notes that put the figures in doubt.
pub(super) fn notes(runs: &[NamedReport<'_>]) -> String {
    let is_alone = runs.len() == 1;
    let mut html = String::new();
    for run in runs {
        let label = if is_alone { String::new() } else { run.label() + " " };
        for note in &run.report.verdict.notes {
            html += &format!("<li>{label}{}</li>\n", escape(note));
        }
    }
    if html.is_empty() {
        return html;
    }
    format!("<section class=\"notes\">\n<h2>Doubts about the figures</h2>\n<ul>\n{html}</ul>\n</section>\n")
}
