//! The runtime: the threads that all tasks run on, and the cores that these may be pinned to.

use crate::config::TuningConfig;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::{Builder, Runtime};

/// The name of a thread in `top -H` and `/proc`.
const THREAD_NAME: &str = "throng-worker";

/// Socket events that a thread takes with one system call. With tokio's default of 1024 the readers that these wake
/// would delay the shards for too long.
const EVENTS_MAX: usize = 256;

/// Starts the worker threads.
///
/// # Errors
///
/// The error of the system: it has no thread or descriptor left, or does not tell the allowed cores.
pub fn build(tuning: &TuningConfig) -> io::Result<Runtime> {
    let threads = tuning.threads.unwrap_or(1);
    let mut builder = Builder::new_multi_thread();
    builder
        .enable_all()
        .worker_threads(threads)
        .thread_name(THREAD_NAME)
        .event_interval(tuning.event_interval)
        .max_io_events_per_tick(EVENTS_MAX);
    if tuning.pin_threads {
        let cores = allowed_cores()?;
        let started = AtomicUsize::new(0);
        builder.on_thread_start(move || {
            // Relaxed: the number stands for itself.
            let number = started.fetch_add(1, Ordering::Relaxed);
            // Later threads are not workers: they run blocking tasks, such as the look-up of a name.
            if number < threads {
                pin(cores[number % cores.len()]);
            }
        });
    }
    builder.build()
}

/// Returns the cores that the process may run on.
fn allowed_cores() -> io::Result<Vec<usize>> {
    let allowed = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect())
}

/// Keeps the calling thread on one core.
fn pin(core: usize) {
    let mut only = CpuSet::new();
    only.set(core);
    // Not fatal: without pinning it is only slower.
    if let Err(error) = sched_setaffinity(None, &only) {
        tracing::warn!(core, %error, "cannot pin a thread");
    }
}
