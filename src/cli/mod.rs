//! The command: what a person types and reads, from the first line to the exit code.

mod announce;
mod logging;
mod signals;

use crate::config::Config;
use crate::transport::{Server, ServerError, runtime};
use anyhow::Context;
use std::io::Write;
use std::process::ExitCode;

/// Exit code for settings that can not be used, as clap's.
const EXIT_USAGE: u8 = 2;

/// Exit code when shards fail again and again: EX_SOFTWARE of sysexits.h.
const EXIT_SOFTWARE: u8 = 70;

/// Runs a hub until it is stopped. `exit_now` ends the process with a code, on a second signal.
pub fn run(config: Config, exit_now: fn(i32) -> !) -> ExitCode {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let config = match config.complete(cores, descriptors) {
        Ok(config) => config,
        Err(error) => return fail(EXIT_USAGE, &error),
    };
    if let Err(error) = logging::start(&config.logging) {
        return fail(EXIT_USAGE, &error);
    }
    match serve(&config, exit_now) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let is_software = matches!(error.downcast_ref(), Some(ServerError::ShardsFailing));
            fail(if is_software { EXIT_SOFTWARE } else { 1 }, &format_args!("{error:#}"))
        }
    }
}

fn fail(code: u8, error: &dyn std::fmt::Display) -> ExitCode {
    // Nobody is left to tell when this fails.
    let _ = writeln!(std::io::stderr(), "throng: {error}");
    ExitCode::from(code)
}

fn serve(config: &Config, exit_now: fn(i32) -> !) -> anyhow::Result<()> {
    let runtime = runtime::build(&config.tuning).context("failed to start the runtime")?;
    runtime.block_on(async {
        let signals = signals::Signals::new().context("failed to listen for signals")?;
        let server = Server::bind(config).await?;
        announce::announce(&server, config).context("failed to print the address")?;
        // A task, not this thread: a worker that accepts hands the connection on without waking another thread.
        tokio::spawn(server.run(signals.stop(exit_now))).await.context("the server's task failed")??;
        Ok(())
    })
}
