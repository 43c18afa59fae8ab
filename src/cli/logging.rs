//! The log: where lines go and how they look.
//!
//! A thread of its own writes them: a terminal that somebody paused, or a pipe that nobody reads, must not stop a shard
//! in the middle of a pass. What does not fit the queue to it is counted and lost, and the count is said.

use super::log_limit::Guard;
#[cfg(feature = "otel")]
use crate::cli::traces::Traces;
use crate::config::{LogFormat, Logging};
use crate::metrics::Metrics;
use std::fmt;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::interval;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

/// Lines that wait to be written: a few seconds of a flood at every place that logs, some 200 KiB.
const WAITING_MAX: usize = 2048;

/// What is logged, to be changed while the process runs.
pub(super) struct Level {
    filter: reload::Handle<EnvFilter, Registry>,
    guard: Guard,
    lost: ErrorCounter,
}

impl Level {
    /// Reads a level.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<EnvFilter, String> {
        EnvFilter::try_new(text).map_err(|error| format!("log {text:?}: {error}"))
    }

    /// Changes what is logged.
    pub(super) fn set(&self, filter: EnvFilter) {
        // It fails when nothing is logged any more.
        let _ = self.filter.reload(filter);
    }

    /// Returns what has to be run for as long as lines are written: it says which were too many, and which were lost.
    pub(super) fn report(&self, metrics: Arc<Metrics>) -> impl Future<Output = ()> + Send + use<> {
        let (guard, lost) = (self.guard.clone(), self.lost.clone());
        async {
            tokio::join!(guard.report(), report_lost(lost, metrics));
        }
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Level")
    }
}

/// Writes the last lines, and sends the last traces, when it is dropped.
pub(super) struct Writer {
    #[cfg(feature = "otel")]
    _traces: Option<Traces>,
    _worker: WorkerGuard,
}

/// Counts once a second what nobody took in time, for ever, and says so once somebody does.
async fn report_lost(lost: ErrorCounter, metrics: Arc<Metrics>) {
    let (mut ticks, mut known) = (interval(Duration::from_secs(1)), 0);
    loop {
        ticks.tick().await;
        let lines = lost.dropped_lines();
        metrics.log_lines_lost.store(lines as u64, Ordering::Relaxed);
        if lines > known {
            tracing::warn!(lines = lines - known, "lines were lost: the log is not read, or not fast enough");
            known = lines;
        }
    }
}

/// Starts writing to standard error, and sending traces from the runtime that it is called in.
///
/// # Errors
///
/// When `--log` is no filter, or traces can not be sent.
pub(super) fn start(logging: &Logging, is_plain: bool) -> anyhow::Result<(Level, Writer)> {
    let guard = Guard::default();
    let (filter, handle) = reload::Layer::new(Level::parse(&logging.log).map_err(anyhow::Error::msg)?);
    let (writer, worker) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(WAITING_MAX).finish(std::io::stderr());
    let lost = writer.error_counter();
    let has_colour = !is_plain && std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(has_colour).with_target(false);
    let lines = match logging.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
    };
    let lines = lines.with_filter(guard.clone()).with_filter(filter);
    let registry = tracing_subscriber::registry().with(lines);
    #[cfg(feature = "otel")]
    let (traces, registry) = {
        let traces = logging.otlp_endpoint.as_deref().map(Traces::start).transpose()?;
        let layer = traces.as_ref().map(Traces::layer);
        (traces, registry.with(layer))
    };
    registry.init();
    let writer = Writer {
        _worker: worker,
        #[cfg(feature = "otel")]
        _traces: traces,
    };
    Ok((Level { filter: handle, guard, lost }, writer))
}
