//! The signals: SIGTERM and SIGINT ask for a stop, SIGHUP for a reload.

use super::exit::EXIT_SIGNALLED;
use super::supervisor;
use crate::server::Stop;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask for a stop: SIGTERM, from a supervisor, which can wait; SIGINT, from a person at a terminal.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Registers the handlers.
    ///
    /// # Errors
    ///
    /// The system refuses a handler.
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the first signal. A second one ends the process.
    pub(super) async fn stop(mut self, exit_now: fn(i32) -> !) -> Stop {
        let stop = self.next().await;
        supervisor::stopping();
        match stop {
            Stop::Paced => tracing::info!("stopping: not ready from now on, then closing connections evenly"),
            Stop::AtOnce => tracing::info!("stopping: every connection is closed after its pending messages"),
        }
        tokio::spawn(async move {
            self.next().await;
            tracing::warn!("stopped at once by a second signal");
            exit_now(EXIT_SIGNALLED);
        });
        stop
    }

    async fn next(&mut self) -> Stop {
        tokio::select! {
            _ = self.terminate.recv() => Stop::Paced,
            _ = self.interrupt.recv() => Stop::AtOnce,
        }
    }
}

/// Listens for SIGHUP.
///
/// # Errors
///
/// The system refuses a handler.
pub(super) fn hangups() -> std::io::Result<Signal> {
    signal(SignalKind::hangup())
}
