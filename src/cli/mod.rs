//! The command: what a person types and reads, from the first line to the exit code.

mod announce;
mod check;
mod log_limit;
mod logging;
mod reload;
mod signals;
mod supervisor;
#[cfg(feature = "otel")]
mod traces;

use crate::config::{Config, LoadError, Loaded, Sources, doc, source};
use crate::net::runtime;
use crate::server::{Server, ServerError};
use crate::top::{self, Medium};
use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// Exit code for settings that can not be used, as clap's.
const EXIT_USAGE: u8 = 2;

/// Exit code when shards fail again and again: EX_SOFTWARE of sysexits.h.
const EXIT_SOFTWARE: u8 = 70;

/// What only a process has.
#[derive(Debug)]
pub struct ProcessEnv {
    /// The arguments, program name first.
    pub arguments: Vec<OsString>,
    /// The names of the environment's variables.
    pub variables: Vec<OsString>,
    /// Ends the process with a code, on a second signal.
    pub exit_now: fn(i32) -> !,
}

/// Does what the arguments ask for: runs a hub until it is stopped, or prints something.
pub fn run(surroundings: ProcessEnv) -> ExitCode {
    let ProcessEnv { mut arguments, variables, exit_now } = surroundings;
    let verb = arguments.get(1).and_then(|argument| argument.to_str()).unwrap_or_default().to_owned();
    let strange = source::unknown_variables(variables.iter().filter_map(|name| name.to_str()));
    let is_plain = variables.iter().any(|name| name == "NO_COLOR");
    match verb.as_str() {
        "default-config" | "config-doc" if arguments.len() > 2 => {
            fail(EXIT_USAGE, &format_args!("{verb} takes no arguments; what it prints does not depend on any"))
        }
        "default-config" => print(&doc::default_file()),
        "config-doc" => print(&doc::reference()),
        "check-config" => {
            arguments.remove(1);
            check::check(arguments, &strange)
        }
        "top" => {
            arguments.remove(1);
            top::run(arguments, if is_plain { Medium::Plain } else { Medium::Coloured })
        }
        _ => serve(arguments, &strange, is_plain, exit_now),
    }
}

/// Prints a text; a reader that has gone does not matter.
fn print(text: &str) -> ExitCode {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn serve(arguments: Vec<OsString>, strange: &[String], is_plain: bool, exit_now: fn(i32) -> !) -> ExitCode {
    let sources = sources(arguments);
    let loaded = match sources.load() {
        Ok(loaded) => loaded,
        Err(error) => return refuse(&error),
    };
    let runtime = match runtime::build(&loaded.config.tuning) {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &format_args!("failed to start the runtime: {error}")),
    };
    let inside = runtime.enter();
    let (level, writer) = match logging::start(&loaded.config.logging, is_plain) {
        Ok(started) => started,
        Err(error) => return fail(EXIT_USAGE, &format_args!("{error:#}")),
    };
    drop(inside);
    for complaint in strange {
        tracing::warn!("{complaint}");
    }
    let reloading = reload::Reloading { sources, values: loaded.values.clone(), level };
    let ended = hub(&runtime, &loaded, reloading, exit_now);
    // The last lines come before the last word.
    drop(writer);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let is_software = matches!(error.downcast_ref(), Some(ServerError::ShardsFailing));
            fail(if is_software { EXIT_SOFTWARE } else { 1 }, &format_args!("{error:#}"))
        }
    }
}

/// Returns where this process's settings come from.
fn sources(arguments: Vec<OsString>) -> Sources {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Sources::new(arguments, cores, descriptors())
}

/// Raises the limit on descriptors as far as the process may, and returns it: the lower one is for programs that can
/// not deal with many, and a hub lives on them.
fn descriptors() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // What is not allowed is not needed to start.
    let is_raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    if is_raised { maximum } else { current }.unwrap_or(u64::MAX)
}

/// Says why there are no settings; clap says it by itself, and answers who asks for help.
fn refuse(error: &LoadError) -> ExitCode {
    match error {
        LoadError::Usage(error) => {
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE))
        }
        LoadError::File(_) | LoadError::Unfit { .. } => fail(EXIT_USAGE, error),
    }
}

fn fail(code: u8, error: &dyn std::fmt::Display) -> ExitCode {
    // Nobody is left to tell when this fails.
    let _ = writeln!(std::io::stderr(), "throng: {error}");
    ExitCode::from(code)
}

fn hub(runtime: &Runtime, loaded: &Loaded, reloading: reload::Reloading, exit_now: fn(i32) -> !) -> anyhow::Result<()> {
    let config = &loaded.config;
    warn(config);
    runtime.block_on(async {
        let signals = signals::Signals::new().context("failed to listen for signals")?;
        let hangups = signals::hangups().context("failed to listen for SIGHUP")?;
        let server = Server::bind(config).await?;
        announce::announce(&server, config).context("failed to print the address")?;
        if let Some(addr) = server.internal_addr() {
            let is_encrypted = config.internal_addr.as_ref().is_some_and(|address| address.is_encrypted);
            tracing::info!("operators are served at {}://{addr}", announce::scheme(is_encrypted));
        }
        supervisor::ready();
        tokio::spawn(reloading.level.report(Arc::clone(server.hub().metrics())));
        tokio::spawn(reloading.run(hangups, server.handle()));
        // A task, not this thread: a worker that accepts hands the connection on without waking another thread.
        tokio::spawn(server.run(signals.stop(exit_now))).await.context("the server's task failed")??;
        Ok(())
    })
}

/// Says what will go wrong later.
fn warn(config: &Config) {
    let (total, kill_time) = (config.stopping.total(), config.stopping.kill_time);
    if !kill_time.is_zero() && total > kill_time {
        tracing::warn!(
            "a stop takes up to {}, and the supervisor kills after --kill-time {}: lower --lb-grace, --drain-time or \
             --shutdown-timeout, or raise the supervisor's time",
            humantime::format_duration(total),
            humantime::format_duration(kill_time)
        );
    }
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // A connection takes one; the listeners, the runtime and handshakes take some.
    if config.limits.connections_max as u64 > descriptors {
        tracing::warn!(
            "--connections-max {} is more than the {descriptors} descriptors that the process may open; raise \
             LimitNOFILE, or lower it",
            config.limits.connections_max
        );
    }
}
