//! The signals that ask for a stop.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Exit code of a second signal: 128 + SIGINT.
const EXIT_SIGNALLED: i32 = 130;

/// SIGTERM of a supervisor, SIGINT of a terminal.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens for them.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the first signal; the second one ends the process.
    pub(super) async fn stop(mut self, exit_now: fn(i32) -> !) {
        self.next().await;
        tracing::info!("stopping: every connection is closed after its pending messages");
        tokio::spawn(async move {
            self.next().await;
            tracing::warn!("stopped at once by a second signal");
            exit_now(EXIT_SIGNALLED);
        });
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
