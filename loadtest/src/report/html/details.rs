//! Details of single scenarios: steps of a ramp, rounds of a storm, the ends of stalled receivers.

use super::named_report::NamedReport;
use super::tables::{Table, cell, section};
use crate::measure::Memory;
use crate::results::{Channels, Churn, Idle, Ramp, Slow, Storm};
use crate::units::{bytes, count, micros, percent, rate};

/// A kind of memory: its name and its value.
type OfMemory = (&'static str, fn(&Memory) -> u64);

/// Returns the details of each run.
pub(super) fn section_of(runs: &[NamedReport<'_>]) -> String {
    let mut html = String::new();
    for run in runs {
        let results = &run.report.results;
        let parts = [
            ("Steps of the ramp", results.ramp.as_ref().map(ramp)),
            ("Rounds of the storm", results.storm.as_ref().map(storm)),
            ("Receivers that stopped reading", results.slow.as_ref().map(slow)),
            ("Memory, at both numbers of connections", results.idle.as_ref().map(idle)),
            ("Arrivals", results.churn.as_ref().map(churn)),
            ("Channels", results.channels.as_ref().map(channels)),
        ];
        for (title, part) in parts {
            let label = if runs.len() > 1 { format!("<p class=\"hint\">{}</p>\n", run.label()) } else { String::new() };
            html += &part.map_or_else(String::new, |part| section(title, &(label + &part)));
        }
    }
    html
}

fn titles(titles: &[&str]) -> Vec<String> {
    titles.iter().map(|title| (*title).to_owned()).collect()
}

fn optional<T>(value: Option<T>, write: impl Fn(T) -> String) -> String {
    cell(&value.map_or_else(|| "\u{2013}".to_owned(), write))
}

fn ramp(ramp: &Ramp) -> String {
    let mut table = Table::new(titles(&[
        "messages/s",
        "deliveries/s",
        "p50",
        "p99",
        "max",
        "server CPU",
        "server RSS",
        "generator CPU",
        "within the limit",
    ]));
    for (number, step) in ramp.steps.iter().enumerate() {
        let is_knee = ramp.knee == Some(number);
        let within = match (step.is_within, is_knee) {
            (true, true) => "yes, the knee",
            (true, false) => "yes",
            (false, _) => "no",
        };
        let name = format!("{} clients", count(step.clients as u64));
        table.row(
            &name,
            vec![
                cell(&rate(step.rate)),
                cell(&rate(step.deliveries_per_second)),
                cell(&micros(step.p50_us)),
                cell(&micros(step.p99_us)),
                cell(&micros(step.max_us)),
                optional(step.server_cpu_share, percent),
                optional((step.server_rss > 0).then_some(step.server_rss as f64), bytes),
                cell(&percent(step.generator_cpu_share)),
                cell(within),
            ],
        );
    }
    let mut end = Table::new(vec![String::new()]);
    end.row("p99 at most", vec![cell(&micros(ramp.p99_max_us))]);
    end.row("ended because", vec![cell(&ramp.end)]);
    table.html() + &end.html()
}

fn storm(storm: &Storm) -> String {
    let seconds = |seconds: Option<f64>| optional(seconds, |seconds| format!("{seconds:.2} s"));
    let head = storm.rounds.iter().map(|round| {
        if round.jitter_s > 0.0 { format!("spread over {:.1} s", round.jitter_s) } else { "all at once".to_owned() }
    });
    let mut table = Table::new(head.collect());
    let mut row = |name: &str, read: &dyn Fn(&crate::results::Round) -> String| {
        table.row(name, storm.rounds.iter().map(read).collect());
    };
    row("back", &|round| cell(&format!("{} of {}", count(round.back as u64), count(round.clients as u64))));
    row("attempts", &|round| cell(&count(round.attempts)));
    row("99 % back after", &|round| seconds(round.back_99_s));
    row("all back after", &|round| seconds(round.back_100_s));
    row("return p50", &|round| cell(&micros(round.returns.p50_us)));
    row("return p99", &|round| cell(&micros(round.returns.p99_us)));
    row("return max", &|round| cell(&micros(round.returns.max_us)));
    row("server CPU/return", &|round| optional(round.server_cpu_us_per_connection, |us| format!("{us:.3} µs")));
    row("server RSS peak", &|round| {
        optional((round.server_rss_peak > 0).then_some(round.server_rss_peak as f64), bytes)
    });
    table.html()
}

fn slow(slow: &Slow) -> String {
    let mut table = Table::new(vec![String::new()]);
    let mut row = |name: &str, text: &str| table.row(name, vec![cell(text)]);
    row("stalled", &count(slow.stalled as u64));
    row("ended by the server", &count(slow.ended as u64));
    let ends = &slow.ended_after_seconds;
    if let (Some(first), Some(median), Some(last)) = (ends.first(), ends.get(ends.len() / 2), ends.last()) {
        row("ended after, first", &format!("{first:.1} s"));
        row("ended after, median", &format!("{median:.1} s"));
        row("ended after, last", &format!("{last:.1} s"));
    }
    for close in &slow.closes {
        let reason = if close.reason.is_empty() { String::new() } else { format!(": {}", close.reason) };
        row(&format!("found closed with {}{reason}", close.code), &count(close.count as u64));
    }
    row("healthy p50, stalled/calm", &format!("{:.2} x", slow.p50_ratio));
    row("healthy p99, stalled/calm", &format!("{:.2} x", slow.p99_ratio));
    table.html()
}

fn idle(idle: &Idle) -> String {
    let connections = |number: usize| format!("{} connections", count(number as u64));
    let mut table = Table::new(vec![connections(idle.connections_low), connections(idle.connections_high)]);
    let rows: [OfMemory; 4] = [
        ("server RSS", |memory| memory.server_rss),
        ("server Pss", |memory| memory.server_pss),
        ("kernel TCP buffers", |memory| memory.kernel_tcp),
        ("kernel slab", |memory| memory.kernel_slab),
    ];
    for (name, read) in rows {
        let sizes = [read(&idle.memory_low), read(&idle.memory_high)];
        if sizes != [0, 0] {
            table.row(name, sizes.map(|size| cell(&bytes(size as f64))).into());
        }
    }
    let mut held = Table::new(vec![String::new()]);
    held.row("held for", vec![cell(&format!("{:.1} s", idle.held_seconds))]);
    if idle.server_rss_at_end > 0 {
        held.row("server RSS at the end", vec![cell(&bytes(idle.server_rss_at_end as f64))]);
    }
    table.html() + &held.html()
}

fn churn(churn: &Churn) -> String {
    let mut table = Table::new(vec![String::new()]);
    table.row("stayed", vec![cell(&count(churn.stayed as u64))]);
    table.row("arrivals", vec![cell(&count(churn.arrivals))]);
    table.row("arrivals/s", vec![cell(&rate(churn.arrivals_per_second))]);
    let handshake = &churn.handshake;
    for (name, micros_of) in [("p50", handshake.p50_us), ("p99", handshake.p99_us), ("max", handshake.max_us)] {
        table.row(&format!("arrival handshake {name}"), vec![cell(&micros(micros_of))]);
    }
    table.html()
}

fn channels(channels: &Channels) -> String {
    let mut table = Table::new(vec![String::new()]);
    let rows = [
        ("channels", channels.channels),
        ("with a subscriber", channels.occupied),
        ("subscriptions", channels.subscriptions),
        ("subscribers of the largest", channels.largest),
        ("subscribers of the median", channels.median),
    ];
    for (name, number) in rows {
        table.row(name, vec![cell(&count(number as u64))]);
    }
    table.html()
}
