//! The command `compare`: its flags, and its way from the plans to the exit code.

use super::interrupt::Interrupt;
use super::plan::Plan;
use super::rounds::Comparison;
use super::{json, rounds, summary, table};
use crate::exit::{FAIL, INTERRUPTED, PASS};
use crate::observe::host::Environment;
use crate::report::output::{self, OutputFile};
use anyhow::{Context, Result};
use std::path::PathBuf;

/// Which of these servers is faster, and by how much?
///
/// Starts each server of the list, runs the scenario against it, stops it, and continues with the next: A B C, A B C,
/// ... The table has the medians, their ratios to the first server, and the range from the lowest to the highest run. A
/// difference within the range is not significant.
///
/// The list is a TOML file: see loadtest/examples/compare/ for lists and loadtest/examples/README.md for the keys. With
/// several lists, a summary at the end shows the headline figure of each.
#[derive(Debug, clap::Args)]
pub(crate) struct CompareArgs {
    /// Lists of servers, each with a scenario.
    #[arg(value_name = "FILE.toml", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Runs of each server; overrides the list. With fewer than 5, the range means little.
    #[arg(long, value_name = "N")]
    pub(crate) rounds: Option<usize>,
    /// Compare only these servers, by name. Ratios are to the first of them in the list.
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Write the figures of every run and the medians to this JSON file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// Compares, prints the table and returns the exit code.
///
/// # Errors
///
/// Fails with a [`RunError`](crate::exit::RunError) when a list is invalid, a server does not start, or nothing was run
/// before Ctrl-C.
pub(crate) fn run(args: &CompareArgs) -> Result<u8> {
    let narrowed = |file: &PathBuf| Plan::read(file)?.narrowed(args.rounds, &args.only);
    let plans: Vec<Plan> = args.files.iter().map(narrowed).collect::<Result<_, _>>()?;
    let interrupt = Interrupt::catch()?;
    let program = std::env::current_exe().context("failed to find this program's own file")?;
    let environment = Environment::new();
    let file = args.json.as_deref().map(OutputFile::open).transpose()?;
    let (mut comparisons, mut failures) = (Vec::new(), Vec::new());
    for plan in &plans {
        match rounds::run(&program, plan, &interrupt) {
            Ok(comparison) => {
                failures.extend(output::print(&table::render(&comparison, &environment)).err());
                let is_interrupted = comparison.is_interrupted;
                comparisons.push(comparison);
                if is_interrupted {
                    break;
                }
            }
            Err(error) => {
                // The lists before this one are written all the same.
                failures.insert(0, error);
                break;
            }
        }
    }
    failures.extend(output::print(&summary::render(&comparisons)).err());
    if let Some(file) = file.filter(|_| !comparisons.is_empty()) {
        failures.extend(json::render(&comparisons, &environment).and_then(|json| file.write(&json)).err());
    }
    failures.into_iter().next().map_or_else(|| Ok(exit_code(&comparisons)), Err)
}

fn exit_code(comparisons: &[Comparison<'_>]) -> u8 {
    if comparisons.iter().any(|comparison| comparison.is_interrupted) {
        return INTERRUPTED;
    }
    if comparisons.iter().any(|comparison| comparison.failed() > 0) { FAIL } else { PASS }
}
