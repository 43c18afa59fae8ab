//! The page: parts put together, from the verdict down to the settings.

use super::named_report::NamedReport;
use super::{charts, details, headline, setting, tables, words};
use crate::report::Report;
use crate::report::chart::COLOURS;
use crate::report::escape::escape;

const STYLE: &str = include_str!("../../../static/report.css");
const SCRIPT: &str = include_str!("../../../static/report.js");

/// The only script that the policy lets run, by its SHA-256. A test checks it.
const SCRIPT_HASH: &str = "sha256-0QK8YsMa3nbwb5aPA0gMBe0+7QZqyaIEBJcpBEDW6ZE=";

/// A table of the figures of more phases than this wants the width of the page.
const PHASES_NARROW_MAX: usize = 3;

/// Returns a page of one report, or a comparison of several with the first; `names` are those of the files.
pub(crate) fn render(reports: &[Report], names: &[String]) -> String {
    let names = shortened(names);
    let runs = reports.iter().enumerate().map(|(number, report)| {
        let name = names.get(number).map_or("run", String::as_str);
        let has_same_load = report.config.has_load_of(&reports[0].config);
        NamedReport { report, name, colour: number % COLOURS, has_same_load }
    });
    let runs: Vec<_> = runs.collect();
    let mut page = head(&runs);
    page += &headline::header(&runs);
    page += "<main>\n";
    page += &headline::cards(&runs);
    page += &headline::notes(&runs);
    page += &charts::section(&runs);
    let tables = [tables::figures(&runs), tables::accounting(&runs), tables::ends(&runs), details::section_of(&runs)];
    page += &sheet(is_narrow(&runs), &tables.concat());
    page += &sheet(runs.len() == 1, &[setting::environment(&runs), setting::configuration(&runs)].concat());
    page += "</main>\n";
    page += &format!("<script>{SCRIPT}</script>\n</body>\n</html>\n");
    page
}

/// Leaves folders and the ending out, unless that would make two of one name.
fn shortened(names: &[String]) -> Vec<String> {
    let short = |name: &String| name.rsplit('/').next().unwrap_or(name).trim_end_matches(".json").to_owned();
    let shorts: Vec<_> = names.iter().map(short).collect();
    let is_plain = |number: usize| {
        let name = &shorts[number];
        !name.is_empty() && shorts.iter().filter(|other| *other == name).count() == 1
    };
    names.iter().enumerate().map(|(at, name)| if is_plain(at) { shorts[at].clone() } else { name.clone() }).collect()
}

/// Tables with few columns stand next to each other where there is room.
fn is_narrow(runs: &[NamedReport<'_>]) -> bool {
    match runs {
        [run] => run.report.results.phases.len() <= PHASES_NARROW_MAX && run.report.results.ramp.is_none(),
        [one, other] => [one, other].iter().all(|run| run.report.results.ramp.is_none()),
        _ => false,
    }
}

fn sheet(is_narrow: bool, sections: &str) -> String {
    if is_narrow { format!("<div class=\"sheet\">\n{sections}</div>\n") } else { sections.to_owned() }
}

fn head(runs: &[NamedReport<'_>]) -> String {
    let title = escape(&words::title(runs));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src '{SCRIPT_HASH}'; img-src data:; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n{STYLE}</style>\n</head>\n<body>\n"
    )
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
