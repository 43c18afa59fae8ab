//! The tables of a page: figures by phase, where every delivery went, and how connections ended.

use super::change::SAME;
use super::named_report::NamedReport;
use crate::report::escape::escape;
use crate::report::figures::{Figure, OF_PHASE, OF_RUN, Value};
use crate::results::{Findings, Phase};
use crate::units::count;
use std::collections::BTreeMap;

/// With more phases, each compared in a table of its own, only the last is unfolded.
const OPEN_PHASES_MAX: usize = 3;

/// Labels of the figures that the accounting shows.
const ACCOUNTED: [&str; 6] = ["lost", "duplicated", "reordered", "corrupt", "merged", "split"];

/// A dash where a run has no such figure.
const ABSENT: &str = "<td class=\"absent\">\u{2013}</td>";

/// A table with a name in front of each row; cells are HTML.
#[derive(Debug, Default)]
pub(super) struct Table {
    head: Vec<String>,
    rows: Vec<(String, Vec<String>)>,
}

impl Table {
    /// Starts with the titles of the columns, which are HTML.
    pub(super) const fn new(head: Vec<String>) -> Self {
        Self { head, rows: Vec::new() }
    }

    /// Adds a row of `<td>` cells.
    pub(super) fn row(&mut self, name: &str, cells: Vec<String>) {
        self.rows.push((escape(name), cells));
    }

    /// Writes the table in a box of its own, in which it may be wider than the screen.
    pub(super) fn html(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let mut html = "<div class=\"scroll\" tabindex=\"0\"><table>\n".to_owned();
        if self.head.iter().any(|title| !title.is_empty()) {
            html += "<thead><tr><td></td>";
            self.head.iter().for_each(|title| html += &format!("<th scope=\"col\">{title}</th>"));
            html += "</tr></thead>\n";
        }
        html += "<tbody>\n";
        for (name, cells) in &self.rows {
            html += &format!("<tr><th scope=\"row\">{name}</th>{}</tr>\n", cells.concat());
        }
        html + "</tbody></table></div>\n"
    }
}

/// Returns a cell with text.
pub(super) fn cell(text: &str) -> String {
    format!("<td>{}</td>", escape(text))
}

fn cell_of(value: Option<Value>) -> String {
    value.map_or_else(|| ABSENT.to_owned(), |value| cell(&value.unit.write(value.value)))
}

/// Returns the titles of columns, one per run and one for each comparison.
pub(super) fn columns(runs: &[NamedReport<'_>]) -> Vec<String> {
    match runs {
        [_] => vec![String::new()],
        [first, ..] => {
            let to_first = format!("<span class=\"against\">to {}</span>", first.label());
            let mut head = vec![first.label()];
            runs[1..].iter().for_each(|run| head.extend([run.label(), to_first.clone()]));
            head
        }
        [] => Vec::new(),
    }
}

/// Returns a cell for each run and each comparison.
fn compared(runs: &[NamedReport<'_>], values: &[Option<Value>]) -> Vec<String> {
    let mut cells = Vec::new();
    for (number, (run, value)) in runs.iter().zip(values).enumerate() {
        cells.push(cell_of(*value));
        if number > 0 {
            let change = run.change(values[0], *value);
            cells.push(
                change.map_or_else(
                    || ABSENT.to_owned(),
                    |change| format!("<td class=\"against\">{}</td>", change.html()),
                ),
            );
        }
    }
    cells
}

/// Rows of those figures that at least one source has.
fn rows<T: 'static>(
    table: &mut Table,
    figures: impl Iterator<Item = &'static Figure<T>>,
    sources: &[Option<&T>],
    compared_runs: Option<&[NamedReport<'_>]>,
) {
    for figure in figures {
        let values: Vec<_> = sources.iter().map(|source| source.and_then(|source| figure.of(source))).collect();
        if values.iter().any(Option::is_some) {
            let cells = match compared_runs {
                Some(runs) => compared(runs, &values),
                None => values.into_iter().map(cell_of).collect(),
            };
            table.row(figure.label, cells);
        }
    }
}

/// Returns every figure: of the phases, then of the runs.
pub(super) fn figures(runs: &[NamedReport<'_>]) -> String {
    let mut html = match runs {
        [run] => of_phases(&run.report.results.phases),
        _ => of_phases_compared(runs),
    };
    let mut table = Table::new(columns(runs));
    let findings: Vec<_> = runs.iter().map(|run| Some(&run.report.results)).collect();
    rows(&mut table, OF_RUN.iter().filter(|figure| !ACCOUNTED.contains(&figure.label)), &findings, Some(runs));
    html += &section("The run as a whole", &table.html());
    html
}

fn of_phases(phases: &[Phase]) -> String {
    let head = phases.iter().map(|phase| if phases.len() > 1 { escape(&phase.name) } else { String::new() });
    let mut table = Table::new(head.collect());
    if !phases.is_empty() {
        table.row("seconds", phases.iter().map(|phase| cell(&format!("{:.1}", phase.seconds))).collect());
    }
    rows(&mut table, OF_PHASE.iter(), &phases.iter().map(Some).collect::<Vec<_>>(), None);
    section("Figures", &table.html())
}

/// Returns a table per phase, in the order in which the first run that has it went through them.
fn of_phases_compared(runs: &[NamedReport<'_>]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for phase in runs.iter().flat_map(|run| &run.report.results.phases) {
        if !names.contains(&phase.name.as_str()) {
            names.push(&phase.name);
        }
    }
    let mut html = String::new();
    for (number, name) in names.iter().enumerate() {
        let phase = |run: &NamedReport<'_>| run.report.results.phases.iter().position(|phase| phase.name == *name);
        let phases: Vec<_> = runs.iter().map(|run| phase(run).map(|at| &run.report.results.phases[at])).collect();
        let mut table = Table::new(columns(runs));
        rows(&mut table, OF_PHASE.iter(), &phases, Some(runs));
        let is_open = names.len() <= OPEN_PHASES_MAX || number + 1 == names.len();
        let open = if is_open { " open" } else { "" };
        if names.len() == 1 {
            html += &table.html();
        } else {
            html += &format!("<details{open}><summary>{}</summary>\n{}</details>\n", escape(name), table.html());
        }
    }
    let legend = format!(
        "<p class=\"hint\">Compared with the first run. What differs by {:.0} % or less is called the same.</p>\n",
        SAME * 100.0
    );
    if html.is_empty() { html } else { section("Figures", &(legend + &html)) }
}

/// A kind of deliveries: its name and its number.
type Fate = (&'static str, fn(&Findings) -> u64);

/// Returns where every delivery went.
pub(super) fn accounting(runs: &[NamedReport<'_>]) -> String {
    // Without a publisher there are no deliveries.
    if runs.iter().all(|run| run.report.results.accounting.expected == 0) {
        return String::new();
    }
    let head = if runs.len() > 1 { runs.iter().map(NamedReport::label).collect() } else { vec![String::new()] };
    let mut table = Table::new(head);
    let rows: [Fate; 12] = [
        ("expected", |f| f.accounting.expected),
        ("verified", |f| f.accounting.counts.verified),
        ("verified by fastwebsockets", |f| f.accounting.validated),
        ("lost", |f| f.accounting.counts.lost),
        ("duplicated", |f| f.accounting.counts.duplicated),
        ("reordered", |f| f.accounting.counts.reordered),
        ("corrupt", |f| f.accounting.counts.corrupt),
        ("merged", |f| f.accounting.counts.merged),
        ("split", |f| f.accounting.counts.split),
        ("missed by closed connections", |f| f.accounting.undelivered_closed),
        ("unread messages of closed publishers", |f| f.accounting.unaccepted),
        ("messages that the API did not accept", |f| f.accounting.unaccepted_by_api),
    ];
    for (name, read) in rows {
        let is_fault = ACCOUNTED.contains(&name);
        let cells = runs.iter().map(|run| {
            let number = read(&run.report.results);
            let class = if is_fault && number > 0 { " class=\"fault\"" } else { "" };
            format!("<td{class}>{}</td>", count(number))
        });
        table.row(name, cells.collect());
    }
    let unexpected: Vec<_> = runs.iter().map(|run| run.report.results.accounting.first_unexpected.as_deref()).collect();
    if unexpected.iter().any(Option::is_some) {
        let cells = unexpected.into_iter().map(|line| {
            line.map_or_else(|| ABSENT.to_owned(), |line| format!("<td><code>{}</code></td>", escape(line)))
        });
        table.row("first line that was not a record", cells.collect());
    }
    section("Where every delivery went", &table.html())
}

/// Connections that the server ended or did not accept.
pub(super) fn ends(runs: &[NamedReport<'_>]) -> String {
    let mut counts: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (number, run) in runs.iter().enumerate() {
        let results = &run.report.results;
        let closes = results.closes.iter().map(|close| {
            let reason = if close.reason.is_empty() { String::new() } else { format!(": {}", close.reason) };
            (format!("closed with {}{reason}", close.code), close.count as u64)
        });
        let refusals = results.refusals.iter().map(|refusal| (format!("refused: {}", refusal.why), refusal.count));
        for (name, count) in closes.chain(refusals) {
            counts.entry(name).or_insert_with(|| vec![0; runs.len()])[number] += count;
        }
    }
    let head =
        if runs.len() > 1 { runs.iter().map(NamedReport::label).collect() } else { vec!["connections".to_owned()] };
    let mut table = Table::new(head);
    for (name, counts) in counts {
        table.row(&name, counts.into_iter().map(|number| cell(&count(number))).collect());
    }
    section("Connections that the server ended or refused", &table.html())
}

/// Returns a part of the page with a title; nothing if it has no content.
pub(super) fn section(title: &str, content: &str) -> String {
    if content.is_empty() {
        return String::new();
    }
    format!("<section>\n<h2>{}</h2>\n{content}</section>\n", escape(title))
}
