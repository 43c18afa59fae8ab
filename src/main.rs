//! The throng server: parses the configuration, runs the hub, and exits.

use anyhow::Context;
use clap::Parser;
use mimalloc::MiMalloc;
use std::io::Write;
use std::process::ExitCode;
use throng::config::Config;
use throng::transport::{Server, ServerError, runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Exit code for settings that can not be used, as clap's.
const EXIT_USAGE: u8 = 2;

/// Exit code when shards fail again and again: EX_SOFTWARE of sysexits.h.
const EXIT_SOFTWARE: u8 = 70;

/// Exit code of a second signal: 128 + SIGINT.
const EXIT_SIGNALLED: i32 = 130;

fn main() -> ExitCode {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let config = match Config::parse().complete(cores, descriptors) {
        Ok(config) => config,
        Err(error) => return fail(EXIT_USAGE, &error),
    };
    let filter = EnvFilter::try_from_env("THRONG_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
    match serve(&config) {
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

fn serve(config: &Config) -> anyhow::Result<()> {
    let runtime = runtime::build(&config.tuning).context("failed to start the runtime")?;
    runtime.block_on(async {
        let mut signals = Signals::new().context("failed to listen for signals")?;
        let server = Server::bind(config).await?;
        announce(&server, config).context("failed to print the address")?;
        let stop = async move {
            signals.next().await;
            tracing::info!("stopping: every connection is closed after its pending messages");
            tokio::spawn(async move {
                signals.next().await;
                tracing::warn!("stopped at once by a second signal");
                exit_now();
            });
        };
        // A task, not this thread: a worker that accepts hands the connection on without waking another thread.
        tokio::spawn(server.run(stop)).await.context("the server's task failed")??;
        Ok(())
    })
}

/// Prints the one line that a person, or a script that gave port 0, waits for.
fn announce(server: &Server, config: &Config) -> std::io::Result<()> {
    let addr = server.addr();
    let host = if addr.ip().is_unspecified() { "localhost".to_owned() } else { addr.ip().to_string() };
    let host = if addr.is_ipv6() && host.contains(':') { format!("[{host}]") } else { host };
    let version = env!("CARGO_PKG_VERSION");
    let (port, shards, connections) = (addr.port(), config.shards(), config.limits.connections_max);
    let plural = if shards == 1 { "" } else { "s" };
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "throng {version} is ready: open http://{host}:{port}/ \
         ({shards} shard{plural}, up to {connections} connections)"
    )?;
    out.flush()
}

#[expect(clippy::exit, reason = "the second signal means: now")]
fn exit_now() -> ! {
    std::process::exit(EXIT_SIGNALLED)
}

/// The signals that ask for a stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
