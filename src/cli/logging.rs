//! The log: where its lines go and their format.
//!
//! A separate thread writes them: a paused terminal, or a pipe that is not read, must not stop a shard in the middle of
//! a pass. Lines that do not fit the queue to this thread are lost and counted, and the count is logged.

use super::log_limit::LogLimit;
#[cfg(feature = "otel")]
use super::traces::Traces;
use crate::config::{LogConfig, LogFilter, LogFormat};
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

/// Lines that may wait to be written: a few seconds of a flood from every callsite, about 200 KiB.
const WAITING_MAX: usize = 2048;

/// The level of the log, which can be changed while the process runs.
pub(super) struct Level {
    filter: reload::Handle<EnvFilter, Registry>,
    limit: LogLimit,
    lost: ErrorCounter,
}

impl Level {
    /// Changes what is logged.
    pub(super) fn set(&self, filter: &LogFilter) {
        // It fails only after the log has ended.
        let _ = self.filter.reload(self::filter(filter));
    }

    /// Returns a future that logs how many lines were left out or lost, to be run until the process ends.
    pub(super) fn report(&self, metrics: Arc<Metrics>) -> impl Future<Output = ()> + Send + use<> {
        let (limit, lost) = (self.limit.clone(), self.lost.clone());
        async {
            tokio::join!(limit.report(), report_lost(lost, metrics));
        }
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Level")
    }
}

/// Returns what a filter lets through. The library of NATS speaks only where the filter names it: it has a line for each
/// attempt and each dropped message, and we have our own.
fn filter(filter: &LogFilter) -> EnvFilter {
    EnvFilter::new(format!("async_nats=off,{}", filter.as_str()))
}

/// The thread that writes lines. Dropping this writes the last lines and sends the last traces.
pub(super) struct Writer {
    #[cfg(feature = "otel")]
    _traces: Option<Traces>,
    _worker: WorkerGuard,
}

/// Counts lost lines once a second until the process ends, and logs the count once lines are read again.
async fn report_lost(lost: ErrorCounter, metrics: Arc<Metrics>) {
    let (mut ticks, mut known) = (interval(Duration::from_secs(1)), 0);
    loop {
        ticks.tick().await;
        let lines = lost.dropped_lines();
        metrics.process.log_lines_lost.store(lines as u64, Ordering::Relaxed);
        if lines > known {
            tracing::warn!(lines = lines - known, "lines were lost: the log is not read, or not fast enough");
            known = lines;
        }
    }
}

/// Starts to log to standard error, and to send traces from the current runtime.
///
/// # Errors
///
/// Traces cannot be sent.
pub(super) fn start(logging: &LogConfig, is_plain: bool) -> anyhow::Result<(Level, Writer)> {
    let limit = LogLimit::default();
    let (filter, handle) = reload::Layer::new(filter(&logging.log));
    let (writer, worker) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(WAITING_MAX).finish(std::io::stderr());
    let lost = writer.error_counter();
    let has_colour = !is_plain && std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(has_colour).with_target(false);
    let lines = match logging.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
    };
    let lines = lines.with_filter(limit.clone()).with_filter(filter);
    let registry = tracing_subscriber::registry().with(lines);
    #[cfg(feature = "otel")]
    let (traces, registry) = {
        let traces = logging.otlp_endpoint.as_ref().map(|url| Traces::start(url.as_str())).transpose()?;
        let layer = traces.as_ref().map(Traces::layer);
        (traces, registry.with(layer))
    };
    registry.init();
    let writer = Writer {
        _worker: worker,
        #[cfg(feature = "otel")]
        _traces: traces,
    };
    Ok((Level { filter: handle, limit, lost }, writer))
}
