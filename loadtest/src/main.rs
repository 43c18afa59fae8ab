//! A load generator: opens WebSocket connections to a fan-out server on this machine, verifies every delivery and
//! measures it.
//!
//! One process coordinates; worker processes, which this program starts of itself, hold the clients. The layers, from
//! the top; each imports only what stands to its right:
//!
//! ```text
//! main -> cli -> compare -> report -> scenario -> coordinator -> worker -> audience -> observe -> results
//!      -> config -> wire -> measure -> clock, exit, flags, signals, units
//! ```

// From the command line down to the workers.
mod cli;

mod compare;

mod report;

mod scenario;

mod coordinator;

mod worker;

mod audience;

// Data, and the ways to get it.
mod observe;

mod results;

mod config;

mod wire;

mod measure;

// Leaves.
mod clock;
mod exit;
mod flags;
mod signals;
mod units;

use crate::cli::{Action, Cli, ReportArgs};
use crate::config::Config;
use crate::coordinator::Coordinator;
use crate::exit::{BROKEN, INTERRUPTED, RunError};
use crate::observe::host::Environment;
use crate::observe::{limits, metrics, syscalls};
use crate::report::output::{self, OutputFile, Outputs};
use crate::report::verdict::Verdict;
use crate::report::{Report, html, table};
use anyhow::Result;
use clap::Parser;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

fn main() -> ExitCode {
    let outcome = match Cli::parse().action {
        Action::Scenario(scenario) => run(cli::config(scenario).unwrap_or_else(|error| error.exit())),
        Action::Run(args) => run(args.into_config().unwrap_or_else(|error| error.exit())),
        Action::Compare(args) => compare::run(&args),
        Action::Report(args) => combine(&args),
        Action::Worker => worker::run(),
    };
    match outcome {
        Ok(code) => code.into(),
        Err(error) => {
            print_error(&error);
            error.downcast_ref::<RunError>().map_or(BROKEN, RunError::exit_code).into()
        }
    }
}

fn print_error(error: &anyhow::Error) {
    // If stderr is closed, the exit code has to do.
    drop(writeln!(std::io::stderr().lock(), "error: {error:#}"));
}

/// Runs the scenario, prints its report and returns the exit code.
fn run(config: Config) -> Result<u8> {
    limits::check(&config)?;
    if config.server_syscalls {
        syscalls::check()?;
    }
    config.server_metrics.as_ref().map_or(Ok(()), metrics::check)?;
    let outputs = Outputs::open(config.json.as_deref(), config.html.as_deref())?;
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in signals::to_handle() {
        // The second one does not wait for a report.
        signal_hook::flag::register_conditional_shutdown(signal, INTERRUPTED.into(), Arc::clone(&interrupted))?;
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }

    let environment = Environment::new();
    let mut coordinator = Coordinator::start(config.clone(), interrupted)?;
    let outcome = scenario::run(&mut coordinator);
    // Deliveries are accounted for after a failure as well: what came until then is reported.
    let accounted = coordinator.account();
    let outcome = outcome.and(accounted);
    let is_interrupted = coordinator.is_interrupted();
    let results = coordinator.finish();
    let (verdict, error) = match outcome {
        Ok(()) => (Verdict::new(&config, &results, is_interrupted), None),
        Err(error) => {
            let stop = error.downcast_ref().cloned().unwrap_or_else(|| RunError::Broken(format!("{error:#}")));
            (Verdict::stopped(&stop, &results), Some(error))
        }
    };
    Ok(conclude(&Report::new(verdict, config, environment, results), outputs, error))
}

/// Prints and writes what there is, also for a run that failed, and returns the exit code. No output prevents another.
fn conclude(report: &Report, outputs: Outputs, error: Option<anyhow::Error>) -> u8 {
    // Without a connection there is nothing to print but the reason.
    let is_printed = report.results.connections.opened > 0 || error.is_none();
    let table = if is_printed { output::print(&table::render(report)) } else { Ok(()) };
    let json = outputs.json.map_or(Ok(()), |file| file.write(&report.to_json()?));
    let page = || html::render(std::slice::from_ref(report), &[report.config.url.to_string()]);
    let html = outputs.html.map_or(Ok(()), |file| file.write(page().as_bytes()));
    if let Some(error) = error {
        print_error(&error);
    }
    let mut exit_code = report.verdict.exit_code;
    for failure in [table, json, html].into_iter().filter_map(Result::err) {
        print_error(&failure);
        exit_code = BROKEN;
    }
    exit_code
}

/// Puts reports of earlier runs into one page.
fn combine(args: &ReportArgs) -> Result<u8> {
    let usage = |error: anyhow::Error| RunError::Usage(format!("{error:#}"));
    let reports: Vec<Report> =
        args.files.iter().map(|file| Report::read_json(file)).collect::<Result<_>>().map_err(usage)?;
    let names: Vec<String> = args.files.iter().map(|file| name(file)).collect();
    OutputFile::open(&args.html)?.write(html::render(&reports, &names).as_bytes())?;
    output::print(&format!("wrote {}\n", args.html.display()))?;
    Ok(0)
}

/// Returns the name of a run among others: that of its file.
fn name(file: &Path) -> String {
    file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}
