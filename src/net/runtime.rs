//! A runtime: the threads that everything runs on, and the cores that they run on.

use crate::config::Tuning;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::{Builder, Runtime};

/// What `top -H` and /proc call a thread.
const THREAD_NAME: &str = "throng-worker";

/// Socket events that a thread takes with one system call: tokio's own 1024 would be a long turn of readers.
const EVENTS_MAX: usize = 256;

/// Starts the threads.
///
/// # Errors
///
/// What the system says: threads, descriptors or permission to ask for the allowed cores are missing.
pub fn build(tuning: &Tuning) -> io::Result<Runtime> {
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
            // Later ones are not workers: they look up a name and end.
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
    // It runs all the same, wherever the system puts it.
    if let Err(error) = sched_setaffinity(None, &only) {
        tracing::warn!(core, %error, "a thread is not pinned");
    }
}
