//! The file of comparisons, a list: every run's figures, the medians, and the plan they come from.

use super::rounds::Comparison;
use super::rows::rows;
use super::stats::{Spread, Standing};
use super::table;
use crate::observe::host::Environment;
use anyhow::{Context, Result};
use serde::Serialize;
use std::collections::BTreeMap;

/// The version of the file's shape.
const FORMAT: u32 = 1;

#[derive(Debug, Serialize)]
struct Written<'a> {
    format: u32,
    name: &'a str,
    verdict: String,
    /// The scenario as it is typed.
    scenario: String,
    rounds: usize,
    servers: Vec<Column<'a>>,
    environment: &'a Environment,
}

#[derive(Debug, Serialize)]
struct Column<'a> {
    name: &'a str,
    command: &'a [String],
    runs: Vec<Round<'a>>,
    /// By the name that `--assert` takes; in the units of a run's report: microseconds, bytes, shares of 1.
    figures: BTreeMap<&'static str, Entry>,
}

#[derive(Debug, Serialize)]
struct Round<'a> {
    round: usize,
    verdict: &'a str,
    exit_code: u8,
    figures: BTreeMap<&'static str, f64>,
}

#[derive(Debug, Serialize)]
struct Entry {
    #[serde(flatten)]
    spread: Spread,
    /// Of the medians, to the first server.
    ratio: Option<f64>,
    standing: Option<Standing>,
}

/// Returns the content of the file.
///
/// # Errors
///
/// Fails when a value has no form in JSON, which never happens.
pub(super) fn render(comparisons: &[Comparison<'_>], environment: &Environment) -> Result<Vec<u8>> {
    let written: Vec<_> = comparisons.iter().map(|comparison| written(comparison, environment)).collect();
    serde_json::to_vec_pretty(&written).context("failed to write the comparison as JSON")
}

fn written<'a>(comparison: &'a Comparison<'_>, environment: &'a Environment) -> Written<'a> {
    let plan = comparison.plan;
    let rows = rows(comparison);
    let servers = plan.server.iter().zip(&comparison.runs).enumerate().map(|(index, (server, runs))| Column {
        name: &server.name,
        command: &server.command,
        runs: runs
            .iter()
            .map(|run| Round {
                round: run.round,
                verdict: &run.verdict,
                exit_code: run.exit_code,
                figures: run.figures.iter().map(|figure| (figure.key, figure.value)).collect(),
            })
            .collect(),
        figures: rows
            .iter()
            .filter_map(|row| {
                let spread = row.spreads[index]?;
                Some((row.key, Entry { spread, ratio: row.ratio(index), standing: row.standing(index) }))
            })
            .collect(),
    });
    Written {
        format: FORMAT,
        name: &plan.name,
        verdict: table::verdict(comparison),
        scenario: table::scenario(comparison),
        rounds: plan.rounds,
        servers: servers.collect(),
        environment,
    }
}
