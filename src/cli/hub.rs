//! The hub as a command: starts the runtime and the log, listens, and waits for a signal.

use super::exit::{EXIT_FAILURE, EXIT_SOFTWARE, EXIT_USAGE, fail_with, fail_with_load_error};
use super::reload::Reloading;
use super::signals::Signals;
use super::{announce, logging, signals, supervisor};
use crate::config::{Config, Loaded, Sources, TokenKeyConfig};
use crate::net::runtime;
use crate::server::{Server, ServerError};
use anyhow::Context;
use rustix::process::{Resource, getrlimit};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// Runs a hub until it is stopped. Returns the exit code.
pub(super) fn run_hub(sources: Sources, is_plain: bool, exit_now: fn(i32) -> !) -> ExitCode {
    let loaded = match sources.load() {
        Ok(loaded) => loaded,
        Err(error) => return fail_with_load_error(&error),
    };
    let runtime = match runtime::build(&loaded.config.tuning) {
        Ok(runtime) => runtime,
        Err(error) => return fail_with(EXIT_FAILURE, &format_args!("failed to start the runtime: {error}")),
    };
    // Traces are sent by a task of the runtime.
    let inside = runtime.enter();
    let (level, writer) = match logging::start(&loaded.config.logging, is_plain) {
        Ok(started) => started,
        Err(error) => return fail_with(EXIT_USAGE, &format_args!("{error:#}")),
    };
    drop(inside);
    for complaint in sources.complaints() {
        tracing::warn!("{complaint}");
    }
    let reloading = Reloading { sources, values: loaded.values.clone(), tables: loaded.tables.clone(), level };
    let ended = serve_until_stopped(&runtime, &loaded, reloading);
    // The last lines of the log come before the error.
    drop(writer);
    match ended {
        Ok(End::Stopped) => ExitCode::SUCCESS,
        // Without dropping the runtime, which would wait for what is in progress, such as the look-up of a name.
        Ok(End::Signalled(code)) => exit_now(code.into()),
        Err(error) => {
            let is_software = matches!(error.downcast_ref(), Some(ServerError::ShardsFailing));
            let text = format!("{error:#}");
            let code = if is_software { EXIT_SOFTWARE } else { EXIT_FAILURE };
            fail_with(code, &format_args!("{text}{}", loaded.places(&text)))
        }
    }
}

/// How a hub has ended.
enum End {
    /// Every connection was closed, or had its time for it.
    Stopped,
    /// At once, because of a signal, with this exit code.
    Signalled(u8),
}

fn serve_until_stopped(runtime: &Runtime, loaded: &Loaded, reloading: Reloading) -> anyhow::Result<End> {
    let config = &loaded.config;
    warn_about(config);
    runtime.block_on(async {
        let mut signals = Signals::new().context("failed to listen for signals")?;
        let hangups = signals::hangups().context("failed to listen for SIGHUP")?;
        // Look-ups of names may take long, and there is nothing to stop yet.
        let server = tokio::select! {
            server = Server::bind(config) => server?,
            signal = signals.next() => return Ok(End::Signalled(signal.exit_code())),
        };
        announce::announce(&server, config).context("failed to print the address")?;
        supervisor::ready();
        tokio::spawn(reloading.level.report(Arc::clone(server.hub().metrics())));
        tokio::spawn(reloading.run(hangups, server.handle()));
        tokio::spawn(supervisor::ping_watchdog(server.handle()));
        let (stop, exit) = signals.follow(server.handle());
        // In a task and not on this thread: a worker that accepts a connection passes it on without waking a thread.
        let serving = tokio::spawn(server.run(stop));
        tokio::select! {
            served = serving => served.context("the server's task failed")??,
            code = exit => return Ok(End::Signalled(code)),
        }
        Ok(End::Stopped)
    })
}

/// Logs what is valid and will fail later.
fn warn_about(config: &Config) {
    let (total, kill_time) = (config.stopping.total(), config.stopping.kill_time);
    if !kill_time.is_zero() && total > kill_time {
        tracing::warn!(
            "a stop takes up to {}, and the supervisor kills after --kill-time {}: lower --lb-grace, --drain-time or \
             --shutdown-timeout, or raise the supervisor's time",
            humantime::format_duration(total),
            humantime::format_duration(kill_time)
        );
    }
    if config.has_short_api_key() {
        tracing::warn!("a key of the HTTP API has fewer than 12 characters, so it can be guessed; give it more");
    }
    if !config.tokens.token_strict {
        let is_weak = config.token_keys.iter().any(TokenKeyConfig::is_weak);
        let weak = if is_weak { ", and a [[token_key]] has a secret that can be guessed" } else { "" };
        tracing::warn!("--token-strict is off: tokens without exp are valid until their key is replaced{weak}");
    }
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // A connection takes one descriptor; listeners, the runtime and handshakes take some more.
    if config.limits.connections_max as u64 > descriptors {
        tracing::warn!(
            "--connections-max {} is more than the {descriptors} descriptors that the process may open; raise \
             LimitNOFILE, or lower --connections-max",
            config.limits.connections_max
        );
    }
}
