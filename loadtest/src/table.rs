//! A table: the report as it is read on a terminal, verdict first.

use crate::cli::{Config, Scenario};
use crate::phase::Phase;
use crate::report::{Findings, Report};
use crate::scenario::{Idle, Slow};
use crate::text::{bytes, count, micros, percent, rate};

/// Rows of a name and one cell per phase.
#[derive(Debug, Default)]
struct Table(Vec<(String, Vec<String>)>);

impl Table {
    fn row(&mut self, name: &str, cells: impl IntoIterator<Item = String>) {
        self.0.push((name.to_owned(), cells.into_iter().collect()));
    }

    /// Adds a row if at least one phase has something to say.
    fn row_of<'a>(&mut self, name: &str, phases: &'a [Phase], cell: impl Fn(&'a Phase) -> Option<String>) {
        let cells: Vec<_> = phases.iter().map(cell).collect();
        if cells.iter().any(Option::is_some) {
            self.row(name, cells.into_iter().map(|cell| cell.unwrap_or_else(|| "-".to_owned())));
        }
    }

    /// Lines the columns up: names to the left, cells to the right if there are several.
    fn render(&self) -> String {
        let width = |text: &str| text.chars().count();
        let names = self.0.iter().map(|(name, _)| width(name)).max().unwrap_or_default();
        let many = self.0.iter().filter(|(_, cells)| cells.len() > 1);
        let cells = many.flat_map(|(_, cells)| cells).map(|cell| width(cell)).max().unwrap_or_default();
        let mut text = String::new();
        for (name, row) in &self.0 {
            let cells = if row.len() > 1 { cells } else { 0 };
            let row: Vec<_> = row.iter().map(|cell| format!("{cell:>cells$}")).collect();
            text += &format!("  {name:<names$}  {}\n", row.join("  "));
        }
        text
    }
}

/// Renders everything: verdict, question, figures, notes.
pub(crate) fn render(report: &Report) -> String {
    let mut table = Table::default();
    connections(&mut table, &report.results);
    let phases = &report.results.phases;
    if phases.len() > 1 {
        table.row("phase", phases.iter().map(|phase| phase.name.to_owned()));
    }
    load(&mut table, phases);
    latency(&mut table, phases);
    usage(&mut table, phases);
    if let Some(slow) = &report.results.slow {
        slow_rows(&mut table, slow);
    }
    if let Some(idle) = &report.results.idle {
        idle_rows(&mut table, idle);
    }
    let mut text = format!("{}\n{}\n\n{}", report.verdict.line, headline(&report.config), table.render());
    for note in &report.verdict.notes {
        text += &format!("\nnote: {note}");
    }
    let environment = &report.environment;
    let (cpu, kernel) = (&environment.cpu, &environment.kernel);
    text +=
        &format!("\n{cpu}, {} of {} cores, Linux {kernel}, loopback\n", environment.cores_allowed, environment.cores);
    text
}

/// Says what was done, in one line.
fn headline(config: &Config) -> String {
    let Config { clients, size, duration, warmup, .. } = config;
    let (clients, duration, warmup) =
        (count(*clients as u64), humantime::format_duration(*duration), humantime::format_duration(*warmup));
    let per_second = rate(config.rate);
    match config.scenario {
        Scenario::Idle => {
            format!("idle: {} then {clients} connections, held {duration}", count(config.clients_low as u64))
        }
        Scenario::Fanout => format!(
            "fanout: 1 publisher, {clients} receivers, {per_second} messages/s of {size} B, {duration} after {warmup}"
        ),
        Scenario::Saturate => {
            let window = config.window;
            format!(
                "saturate: 1 publisher, {clients} receivers, {window} messages of {size} B under way, {duration} \
                 after {warmup}"
            )
        }
        Scenario::Chat => format!(
            "chat: {clients} members, each {per_second} messages/s of {size} B to all, {duration} after {warmup}"
        ),
        Scenario::Slow => {
            let stalled = config.stalled();
            format!(
                "slow: {clients} receivers, {per_second} messages/s of {size} B, {duration} calm, {duration} with \
                 {stalled} stalled"
            )
        }
    }
}

fn connections(table: &mut Table, results: &Findings) {
    let connections = &results.connections;
    let (opened, timed) = (count(connections.opened as u64), count(connections.timed as u64));
    let cpu = connections.server_cpu_us_per_connection.map(|cpu| format!(", {cpu:.0} µs of server CPU each"));
    let cpu = cpu.unwrap_or_default();
    table.row("connected", [format!("{opened} ({timed} of them in {:.2} s{cpu})", connections.seconds)]);
    let accounting = &results.accounting;
    let counts = &accounting.counts;
    if accounting.expected > 0 {
        table.row("verified", [format!("{} of {} deliveries", count(counts.verified), count(accounting.expected))]);
        let faults =
            [counts.lost, counts.duplicated, counts.reordered, counts.corrupt, counts.joined, counts.split].map(count);
        let [lost, duplicated, reordered, corrupt, joined, split] = faults;
        table.row("faults", [format!(
            "{lost} lost, {duplicated} duplicated, {reordered} reordered, {corrupt} corrupt, {joined} joined, {split} \
             split"
        )]);
    }
    let closed: usize = results.closes.iter().map(|close| close.count).sum();
    let missed = if closed == 0 {
        String::new()
    } else {
        format!(", which missed {} deliveries", count(accounting.undelivered_closed))
    };
    table.row("closed by the server", [format!("{}{missed}", count(closed as u64))]);
}

fn load(table: &mut Table, phases: &[Phase]) {
    table.row_of("messages/s", phases, |phase| Some(rate(phase.sent_per_second)));
    table.row_of("deliveries/s", phases, |phase| Some(rate(phase.deliveries_per_second)));
}

fn latency(table: &mut Table, phases: &[Phase]) {
    table.row_of("latency p50", phases, |phase| Some(micros(phase.latency.p50_us)));
    table.row_of("latency p90", phases, |phase| Some(micros(phase.latency.p90_us)));
    table.row_of("latency p99", phases, |phase| Some(micros(phase.latency.p99_us)));
    table.row_of("latency p99.9", phases, |phase| Some(micros(phase.latency.p999_us)));
    table.row_of("latency max", phases, |phase| Some(micros(phase.latency.max_us)));
    table.row_of("sent late p99 / max", phases, |phase| {
        let late = &phase.lateness;
        (late.count > 0).then(|| format!("{} / {}", micros(late.p99_us), micros(late.max_us)))
    });
}

fn usage(table: &mut Table, phases: &[Phase]) {
    table.row_of("server CPU", phases, |phase| phase.server.map(|server| percent(server.cpu_share)));
    table.row_of("server CPU/delivery", phases, |phase| {
        phase.server.map(|server| format!("{:.3} µs", server.cpu_us_per_delivery))
    });
    table.row_of("server user share", phases, |phase| phase.server.map(|server| percent(server.user_share)));
    table.row_of("server RSS peak", phases, |phase| phase.server.map(|_| bytes(phase.server_rss_peak as f64)));
    table.row_of("server Pss", phases, |phase| phase.server.map(|_| bytes(phase.memory_after.server_pss as f64)));
    table.row_of("sends per delivery", phases, |phase| phase.sends_per_delivery.map(|sends| format!("{sends:.3}")));
    table.row_of("generator CPU", phases, |phase| Some(percent(phase.generator.cpu_share)));
    table.row_of("generator CPU/delivery", phases, |phase| {
        Some(format!("{:.3} µs", phase.generator.cpu_us_per_delivery))
    });
    table.row_of("generator without a core", phases, |phase| Some(percent(phase.generator.waiting_share)));
    table.row_of("stolen by hypervisor", phases, |phase| Some(percent(phase.stolen_share)));
}

fn slow_rows(table: &mut Table, slow: &Slow) {
    table.row("healthy p50 / p99", [format!("{:.2} / {:.2} times calm", slow.p50_ratio, slow.p99_ratio)]);
    let when = match slow.ended_after_seconds[..] {
        [] => String::new(),
        [first, .., last] => format!(", after {first:.1} to {last:.1} s"),
        [only] => format!(", after {only:.1} s"),
    };
    table.row("ended by the server", [format!("{} of {} stalled{when}", slow.ended, slow.stalled)]);
    let how = slow
        .closes
        .iter()
        .map(|close| format!("{} with {} {}", close.count, close.code, close.reason).trim_end().to_owned());
    let how: Vec<_> = how.collect();
    table.row("found on reading out", [if how.is_empty() { "all still open".to_owned() } else { how.join("; ") }]);
    table.row("server RSS/stalled", [bytes(slow.server_rss_per_stalled)]);
    table.row("kernel TCP/stalled", [bytes(slow.kernel_tcp_per_stalled)]);
}

fn idle_rows(table: &mut Table, idle: &Idle) {
    table.row("server RSS/connection", [bytes(idle.server_rss_per_connection)]);
    table.row("server Pss/connection", [bytes(idle.server_pss_per_connection)]);
    table.row("kernel slab/connection", [format!("{} (both ends)", bytes(idle.kernel_slab_per_connection))]);
    table.row("generator RSS/connection", [bytes(idle.generator_rss_per_connection)]);
    let (low, high) = (idle.memory_low.server_rss as f64, idle.memory_high.server_rss as f64);
    table.row("server RSS low / high", [format!("{} / {}", bytes(low), bytes(high))]);
    table.row("server CPU while held", [percent(idle.server_cpu_share)]);
}
