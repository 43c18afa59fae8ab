//! A load generator: opens WebSocket connections to a fan-out server on this machine, proves every delivery and
//! measures it.
//!
//! One process coordinates; worker processes, which this program starts of itself, hold the clients. Arrows point down:
//!
//! ```text
//! main -> cli, compare -> scenario -> coordinator -> worker -> wire        observe, report, config, clock: leaves
//! ```

mod audience;
mod cli;
mod clock;
mod compare;
mod config;
mod coordinator;
mod flags;
mod observe;
mod report;
mod scenario;
mod stop;
mod wire;
mod worker;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use clap::Parser;
use signal_hook::consts::SIGINT;

use crate::cli::{Cli, Command, ReportArgs};
use crate::config::Config;
use crate::coordinator::Coordinator;
use crate::observe::host::Environment;
use crate::observe::{limits, syscalls};
use crate::report::verdict::Verdict;
use crate::report::{Report, html, table};
use crate::stop::{BROKEN, INTERRUPTED, Stop};

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Scenario(scenario) => run(scenario.into_config().unwrap_or_else(|error| error.exit())),
        Command::Run(args) => run(args.into_config().unwrap_or_else(|error| error.exit())),
        Command::Compare(args) => compare::run(&args),
        Command::Report(args) => combine(&args),
        Command::Worker => worker::run(),
    };
    match outcome {
        Ok(code) => code.into(),
        Err(error) => {
            say_error(&error);
            error.downcast_ref::<Stop>().map_or(BROKEN, Stop::exit_code).into()
        }
    }
}

fn say_error(error: &anyhow::Error) {
    // Nobody can be told that stderr is gone.
    drop(writeln!(std::io::stderr().lock(), "error: {error:#}"));
}

/// Runs the scenario, prints its report and returns the exit code.
fn run(config: Config) -> Result<u8> {
    limits::check(&config)?;
    if config.server_syscalls {
        syscalls::check()?;
    }
    let interrupted = Arc::new(AtomicBool::new(false));
    // The second Ctrl-C does not wait for a report.
    signal_hook::flag::register_conditional_shutdown(SIGINT, INTERRUPTED.into(), Arc::clone(&interrupted))?;
    signal_hook::flag::register(SIGINT, Arc::clone(&interrupted))?;

    let environment = Environment::new();
    let mut coordinator = Coordinator::start(config.clone(), interrupted)?;
    let outcome = scenario::run(&mut coordinator);
    // The books close after a failure too: what came until then is told.
    coordinator.close_books()?;
    let is_interrupted = coordinator.is_interrupted();
    let results = coordinator.finish();
    let (verdict, error) = match outcome {
        Ok(()) => (Verdict::new(&config, &results, is_interrupted), None),
        Err(error) => {
            let stop = error.downcast_ref().cloned().unwrap_or_else(|| Stop::Broken(format!("{error:#}")));
            (Verdict::stopped(&stop, &results), Some(error))
        }
    };
    conclude(&Report::new(verdict, config, environment, results), error)
}

/// Prints and writes what there is, also of a run that could not go on.
fn conclude(report: &Report, error: Option<anyhow::Error>) -> Result<u8> {
    let exit_code = report.verdict.exit_code;
    if let Some(path) = &report.config.json {
        report.write_json(path)?;
    }
    if let Some(path) = &report.config.html {
        let page = html::render(std::slice::from_ref(report), &[report.config.url.to_string()]);
        write(path, &page)?;
    }
    // Without a connection there is nothing to print but the reason.
    if report.results.connections.opened > 0 || error.is_none() {
        std::io::stdout().lock().write_all(table::render(report).as_bytes())?;
    }
    if let Some(error) = error {
        say_error(&error);
    }
    Ok(exit_code)
}

/// Puts reports of earlier runs into one page.
fn combine(args: &ReportArgs) -> Result<u8> {
    let usage = |error: anyhow::Error| Stop::Usage(format!("{error:#}"));
    let reports: Vec<Report> =
        args.files.iter().map(|file| Report::read_json(file)).collect::<Result<_>>().map_err(usage)?;
    let names: Vec<String> = args.files.iter().map(|file| name(file)).collect();
    write(&args.html, &html::render(&reports, &names))?;
    writeln!(std::io::stdout().lock(), "wrote {}", args.html.display())?;
    Ok(0)
}

/// What a run is called beside others: its file's name.
fn name(file: &Path) -> String {
    file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))
}
