//! A load generator: opens WebSocket connections to a fan-out server on this machine, proves every delivery and
//! measures it.

mod cli;
mod client;
mod clock;
mod closes;
mod connect;
mod engine;
mod handshake;
mod host;
mod latency;
mod limits;
mod metrics;
mod phase;
mod progress;
mod reader;
mod record;
mod report;
mod scenario;
mod server;
mod source;
mod stalls;
mod stop;
mod table;
mod tally;
mod target;
mod text;
mod watch;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use clap::Parser;
use signal_hook::consts::SIGINT;

use crate::cli::{Cli, Config};
use crate::engine::Engine;
use crate::host::Environment;
use crate::report::{Report, Verdict};
use crate::stop::{INTERRUPTED, SERVER, Stop};

fn main() -> ExitCode {
    let config = Cli::parse().into_config().unwrap_or_else(|error| error.exit());
    match run(config) {
        Ok(code) => code.into(),
        Err(error) => {
            // Nobody can be told that stderr is gone.
            drop(writeln!(std::io::stderr().lock(), "error: {error:#}"));
            error.downcast_ref::<Stop>().map_or(SERVER, Stop::exit_code).into()
        }
    }
}

/// Runs the scenario, prints its report and returns the exit code.
fn run(config: Config) -> Result<u8> {
    limits::check(&config)?;
    let interrupted = Arc::new(AtomicBool::new(false));
    // The second Ctrl-C does not wait for a report.
    signal_hook::flag::register_conditional_shutdown(SIGINT, INTERRUPTED.into(), Arc::clone(&interrupted))?;
    signal_hook::flag::register(SIGINT, Arc::clone(&interrupted))?;

    let environment = Environment::new();
    let mut engine = Engine::new(config.clone(), interrupted)?;
    let outcome = scenario::run(&mut engine);
    engine.progress.finish();
    let results = outcome?;
    let counts = results.accounting.counts;
    if let (0, Some(stranger)) = (counts.verified, &results.accounting.first_stranger) {
        let text = format!(
            "the server speaks another protocol: none of its lines is a record, the first began with {stranger}"
        );
        return Err(Stop::Server(text).into());
    }
    let verdict = Verdict::new(&config, &results, engine.is_interrupted());
    let report = Report { verdict, config, environment, results };
    std::io::stdout().lock().write_all(table::render(&report).as_bytes())?;
    if let Some(path) = &report.config.json {
        report.write_json(path)?;
    }
    Ok(report.verdict.exit_code)
}
