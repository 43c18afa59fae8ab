//! A table: the report as it is read on a terminal, verdict first.

use super::Report;
use super::figures::{OF_PHASE, OF_RUN};
use super::headline::headline;
use crate::config::{Config, Load};
use crate::measure::CloseCount;
use crate::results::{Findings, Phase, Ramp, Slow, Storm};
use crate::units::{bytes, count, micros, percent, rate};

/// Figures of a run that have a row of their own, in words, or a table.
const IN_WORDS: [&str; 16] = [
    "lost",
    "duplicated",
    "reordered",
    "corrupt",
    "joined",
    "split",
    "closed",
    "refused",
    "handshake_p99",
    "connects_per_s",
    "server_cpu_per_connection",
    "back_99",
    "back_100",
    "jittered_back_99",
    "jittered_back_100",
    "storm_cpu_per_connection",
];

/// Rows of a name and one cell per phase.
#[derive(Debug, Default)]
struct Table(Vec<(String, Vec<String>)>);

impl Table {
    fn row(&mut self, name: &str, cells: impl IntoIterator<Item = String>) {
        self.0.push((name.to_owned(), cells.into_iter().collect()));
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
    let results = &report.results;
    let mut table = Table::default();
    connections(&mut table, results);
    of_phases(&mut table, &results.phases);
    of_run(&mut table, results);
    let (line, headline) = (&report.verdict.line, headline(&report.config));
    let mut text = format!("{line}\n{headline}\n{}\n\n{}", target(&report.config), table.render());
    if let Some(storm) = &results.storm {
        text += &format!("\n{}", storm_table(storm).render());
    }
    if let Some(ramp) = &results.ramp {
        text += &format!("\n{}", ramp_table(ramp).render());
    }
    for note in &report.verdict.notes {
        text += &format!("\nnote: {note}");
    }
    let environment = &report.environment;
    let (cpu, kernel) = (&environment.cpu, &environment.kernel);
    text +=
        &format!("\n{cpu}, {} of {} cores, Linux {kernel}, loopback\n", environment.cores_allowed, environment.cores);
    text
}

/// Returns where the load went.
fn target(config: &Config) -> String {
    let url = match config.peers.len() {
        0 => config.url.to_string(),
        peers => format!("{} and {peers} more", config.url),
    };
    match (&config.load, config.channel.as_str()) {
        (_, "") => format!("{url}, in the channel that the server chooses"),
        (Load::Channels { channels, .. }, prefix) => format!("{url}, channels {prefix}-0 to {prefix}-{}", channels - 1),
        (_, channel) => format!("{url}, channel {channel}"),
    }
}

fn connections(table: &mut Table, results: &Findings) {
    let connections = &results.connections;
    let mut text = format!("{} ", count(connections.opened as u64));
    if connections.timed < connections.opened {
        text += &format!("(the last {} ", count(connections.timed as u64));
    } else {
        text += "(";
    }
    text += &format!("in {:.2} s, handshake p99 {}", connections.seconds, micros(connections.handshake.p99_us));
    if let Some(cpu) = connections.server_cpu_us_per_connection {
        text += &format!(", {cpu:.0} µs of server CPU each");
    }
    table.row("connected", [text + ")"]);
    let accounting = &results.accounting;
    let counts = &accounting.counts;
    if accounting.expected > 0 {
        table.row("verified", [format!("{} of {} deliveries", count(counts.verified), count(accounting.expected))]);
        let faults =
            [counts.lost, counts.duplicated, counts.reordered, counts.corrupt, counts.merged, counts.split].map(count);
        let [lost, duplicated, reordered, corrupt, merged, split] = faults;
        table.row("faults", [format!(
            "{lost} lost, {duplicated} duplicated, {reordered} reordered, {corrupt} corrupt, {merged} merged, {split} \
             split"
        )]);
    }
    if accounting.validated > 0 {
        table.row("seen by fastwebsockets", [format!("{} deliveries as well", count(accounting.validated))]);
    }
    let closed: usize = results.closes.iter().map(|close| close.count).sum();
    let missed = if closed == 0 {
        String::new()
    } else {
        format!(" ({}), which missed {} deliveries", ends(&results.closes), count(accounting.undelivered_closed))
    };
    // The stalled receivers of `slow` have rows of their own.
    let of_healthy = results.slow.as_ref().map_or_else(String::new, |slow| {
        format!(" of the {} that read", count(connections.opened.saturating_sub(slow.stalled) as u64))
    });
    table.row("closed by the server", [format!("{}{of_healthy}{missed}", count(closed as u64))]);
    for refusal in &results.refusals {
        table.row("refused", [format!("{} times: {}", count(refusal.count), refusal.why)]);
    }
}

/// Figures of the phases, a column each.
fn of_phases(table: &mut Table, phases: &[Phase]) {
    if phases.len() > 1 {
        table.row("phase", phases.iter().map(|phase| phase.name.clone()));
    }
    for figure in OF_PHASE {
        let cells: Vec<_> = phases.iter().map(|phase| figure.of(phase)).collect();
        if cells.iter().any(Option::is_some) {
            let write = |cell: Option<_>| {
                cell.map_or_else(
                    || "-".to_owned(),
                    |value: crate::report::figures::Value| value.unit.write(value.value),
                )
            };
            table.row(figure.label, cells.into_iter().map(write));
        }
    }
}

/// Adds the rows of single scenarios.
fn of_run(table: &mut Table, results: &Findings) {
    let has_knee = results.ramp.as_ref().is_some_and(|ramp| ramp.knee.is_some());
    // The last step that held is the knee.
    let is_shown = |key: &str| !(IN_WORDS.contains(&key) || has_knee && key.starts_with("held_"));
    for figure in OF_RUN.iter().filter(|figure| is_shown(figure.key)) {
        if let Some(value) = figure.of(results) {
            table.row(value.label, [value.unit.write(value.value)]);
        }
    }
    if let Some(slow) = &results.slow {
        stalled(table, slow);
    }
    if let Some(idle) = &results.idle {
        let (low, high) = (idle.memory_low.server_rss as f64, idle.memory_high.server_rss as f64);
        table.row("server RSS low / high", [format!("{} / {}", bytes(low), bytes(high))]);
    }
    if let Some(channels) = &results.channels {
        table.row(
            "channels with subscribers",
            [format!(
                "{} of {}; the largest has {} subscribers, the median {}",
                count(channels.occupied as u64),
                count(channels.channels as u64),
                count(channels.largest as u64),
                count(channels.median as u64)
            )],
        );
    }
}

fn stalled(table: &mut Table, slow: &Slow) {
    let when = match slow.ended_after_seconds[..] {
        [] => "none was".to_owned(),
        [first, .., last] => format!("after {first:.1} to {last:.1} s"),
        [only] => format!("after {only:.1} s"),
    };
    table.row("stalled connections closed", [format!("{} of {}, {when}", slow.ended, slow.stalled)]);
    let how = if slow.closes.is_empty() { "none, all still open".to_owned() } else { ends(&slow.closes) };
    table.row("closed with, read afterwards", [how]);
}

/// Counts, codes and reasons in one line.
fn ends(closes: &[CloseCount]) -> String {
    let ends = closes.iter().map(|close| format!("{} with {} {}", close.count, close.code, close.reason));
    ends.map(|end| end.trim_end().to_owned()).collect::<Vec<_>>().join("; ")
}

fn storm_table(storm: &Storm) -> Table {
    let mut table = Table::default();
    let rounds = &storm.rounds;
    let seconds = |back: Option<f64>| back.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds:.2} s"));
    table.row(
        "return",
        rounds.iter().map(|round| match round.jitter_s {
            0.0 => "at once".to_owned(),
            jitter => format!("over {jitter} s"),
        }),
    );
    let back =
        |round: &crate::results::Round| format!("{} of {}", count(round.back as u64), count(round.clients as u64));
    table.row("back", rounds.iter().map(back));
    table.row("99 % back after", rounds.iter().map(|round| seconds(round.back_99_s)));
    table.row("100 % back after", rounds.iter().map(|round| seconds(round.back_100_s)));
    table.row("attempts", rounds.iter().map(|round| count(round.attempts)));
    table.row(
        "server CPU/return",
        rounds.iter().map(|round| {
            round.server_cpu_us_per_connection.map_or_else(|| "-".to_owned(), |cpu| format!("{cpu:.0} µs"))
        }),
    );
    table
}

fn ramp_table(ramp: &Ramp) -> Table {
    let mut table = Table::default();
    let head = ["messages/s", "deliveries/s", "p50", "p99", "max", "server CPU", "generator CPU", "held"];
    table.row("clients", head.map(str::to_owned));
    for (number, step) in ramp.steps.iter().enumerate() {
        let mark = match (ramp.knee == Some(number), step.is_within) {
            (true, _) => "knee",
            (_, false) => "no",
            _ => "yes",
        };
        table.row(
            &count(step.clients as u64),
            [
                rate(step.rate),
                rate(step.deliveries_per_second),
                micros(step.p50_us),
                micros(step.p99_us),
                micros(step.max_us),
                step.server_cpu_share.map_or_else(|| "-".to_owned(), percent),
                percent(step.generator_cpu_share),
                mark.to_owned(),
            ],
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Axis;
    use crate::results::Step;

    #[test]
    fn columns_of_a_ramp_line_up() {
        let step = |clients, is_within| Step { clients, is_within, p99_us: clients as u64, ..Step::default() };
        let steps = vec![step(500, true), step(100_000, true), step(1_000_000, false)];
        let ramp = |knee| Ramp {
            axis: Axis::Clients,
            p99_max_us: 1,
            steps: steps.clone(),
            knee,
            held: Some(1),
            is_generator_bound: false,
            end: String::new(),
        };
        for knee in [Some(1), None] {
            let text = ramp_table(&ramp(knee)).render();
            let widths: Vec<_> = text.lines().map(|line| line.chars().count()).collect();
            assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
            assert_eq!(text.contains("knee"), knee.is_some(), "{text}");
        }
    }
}
