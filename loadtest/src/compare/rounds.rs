//! Rounds: one run of each server in turn, again and again, with a line on stderr for each.

use super::generator::{Call, RunOutcome};
use super::interrupt::Interrupt;
use super::plan::{Places, Plan, Server};
use super::server::{self, Running};
use super::workspace::Workspace;
use crate::exit::{GONE, RunError, UNREACHABLE};
use anyhow::{Context, Result};
use std::io::Write;
use std::path::Path;

/// Figures in the line of a run: the first two that it has.
const SHOWN: [&str; 7] = [
    "server_rss_per_connection",
    "back_100",
    "arrival_p99",
    "knee_deliveries_per_s",
    "deliveries_per_s",
    "p99",
    "connects_per_s",
];

/// The outcomes of all runs.
#[derive(Debug)]
pub(super) struct Comparison<'a> {
    pub(super) plan: &'a Plan,
    /// Of each server, in the order of the plan.
    pub(super) runs: Vec<Vec<RunOutcome>>,
    /// Whether Ctrl-C came before the last run.
    pub(super) is_interrupted: bool,
}

impl Comparison<'_> {
    /// Returns runs that were made.
    pub(super) fn made(&self) -> usize {
        self.runs.iter().map(Vec::len).sum()
    }

    /// Returns runs that did not pass.
    pub(super) fn failed(&self) -> usize {
        self.runs.iter().flatten().filter(|run| !run.is_pass()).count()
    }
}

/// Makes all runs.
///
/// # Errors
///
/// Fails when a server cannot be set up or does not start, when the generator does not understand the plan, and on
/// Ctrl-C before the first run has ended.
pub(super) fn run<'a>(program: &Path, plan: &'a Plan, interrupt: &Interrupt) -> Result<Comparison<'a>> {
    let stage = Stage { program, plan, interrupt };
    let mut comparison = Comparison { plan, runs: vec![Vec::new(); plan.server.len()], is_interrupted: false };
    server::raise_descriptors();
    for server in plan.server.iter().filter(|server| !server.setup.is_empty()) {
        stage.set_up(server)?;
    }
    let width = plan.server.iter().map(|server| server.name.chars().count()).max().unwrap_or_default();
    for round in 1..=plan.rounds {
        for (server, runs) in plan.server.iter().zip(&mut comparison.runs) {
            let run = match stage.run(server, round) {
                Ok(run) => run,
                Err(error) if matches!(error.downcast_ref(), Some(RunError::Interrupted)) => {
                    comparison.is_interrupted = true;
                    return if comparison.made() > 0 { Ok(comparison) } else { Err(error) };
                }
                Err(error) => return Err(error),
            };
            say(&format!("round {round}/{}  {:<width$}  {}", plan.rounds, server.name, line(&run)));
            runs.push(run);
        }
    }
    Ok(comparison)
}

/// Everything that all runs have in common.
struct Stage<'a> {
    program: &'a Path,
    plan: &'a Plan,
    interrupt: &'a Interrupt,
}

impl Stage<'_> {
    fn set_up(&self, server: &Server) -> Result<()> {
        let (workspace, places) = self.places()?;
        say(&format!("setup  {}  {}", server.name, places.fill(&server.setup.join(" "))));
        Ok(server::set_up(server, &places, &workspace.path().join("setup.log"), self.interrupt)?)
    }

    /// Makes one run, with a server and a folder of its own; both are gone after it, the server first.
    fn run(&self, server: &Server, round: usize) -> Result<RunOutcome> {
        let Self { program, plan, interrupt } = self;
        let (workspace, places) = self.places()?;
        let log = workspace.path().join("server.log");
        let mut running = match Running::start(server, &places, plan.start_timeout, log, interrupt) {
            Ok(running) => running,
            Err(RunError::Unreachable(why)) if round > 1 => {
                say(&why);
                let reason = why.lines().next().unwrap_or_default().to_owned();
                return Ok(RunOutcome::failed(round, reason, UNREACHABLE));
            }
            Err(stop) => return Err(stop.into()),
        };
        let call = Call { program, plan, server, places: &places, pid: running.id() };
        let mut run = call.run(round, interrupt)?;
        if let Some(status) = running.own_end() {
            // A server has to outlive its run, even if it made every delivery before it ended.
            let verdict = if run.is_pass() { "FAIL" } else { &run.verdict };
            run.verdict = format!("{verdict}: the server ended ({status})");
            run.exit_code = if run.is_pass() { GONE } else { run.exit_code };
            say(&format!("server `{}` ended ({status}){}", server.name, running.words()));
        }
        Ok(run)
    }

    fn places(&self) -> Result<(Workspace, Places)> {
        let workspace = Workspace::new().context("failed to make a temporary folder")?;
        let port = server::free_port().context("failed to find a free port")?;
        let places = Places { port, dir: self.plan.dir.clone(), tmp: workspace.path().display().to_string() };
        Ok((workspace, places))
    }
}

/// Returns the outcome of a run in one line.
fn line(run: &RunOutcome) -> String {
    let figures = SHOWN.iter().filter_map(|key| run.figure(key)).take(2);
    let figures: String =
        figures.map(|figure| format!("  {} {}", figure.label, figure.unit.write(figure.value))).collect();
    format!("{}{figures}", run.verdict)
}

fn say(line: &str) {
    // A comparison goes on if stderr is closed.
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}
