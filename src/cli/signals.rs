//! The signals: SIGTERM and SIGINT ask for a stop, SIGHUP for a reload.
//!
//! | signal | when nothing is stopping yet | during a stop |
//! |---|---|---|
//! | SIGTERM | stop at a pace that balancers can follow | nothing: it is asked for already |
//! | SIGINT | stop now, gracefully | the first one: finish now, gracefully; the second one: exit at once with 130 |
//!
//! Supervisors and shells repeat signals: npm passes on a Ctrl-C that the terminal has already sent to the whole group,
//! and a `preStop` hook sends the SIGTERM that the kubelet sends after it. So a repeated SIGTERM changes nothing, and a
//! second SIGINT counts only after [`REPEATED`].

use super::supervisor;
use crate::server::{ServerHandle, Stop};
use std::future::pending;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Time in which a second SIGINT is the first one, passed on once more.
const REPEATED: Duration = Duration::from_secs(1);

/// A signal that asks for a stop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum StopSignal {
    /// SIGTERM, from a supervisor, which can wait.
    Terminate,
    /// SIGINT, from a person at a terminal.
    Interrupt,
}

/// What a signal leads to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    /// The stop begins.
    Begin(Stop),
    /// The rest of the stop happens now.
    Hasten,
    /// Nothing: it is a repetition.
    Ignore,
    /// The process exits at once.
    Exit,
}

/// The signals so far.
#[derive(Debug, Default)]
struct Escalation {
    is_stopping: bool,
    interrupted: Option<Instant>,
}

/// The signals that ask for a stop.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    /// Returns the exit code of a process that the signal ended: 128 and its number.
    pub(super) const fn exit_code(self) -> u8 {
        match self {
            Self::Terminate => 143,
            Self::Interrupt => 130,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }
}

impl Escalation {
    fn next(&mut self, signal: StopSignal, now: Instant) -> Step {
        match (signal, self.interrupted) {
            (StopSignal::Terminate, _) if self.is_stopping => Step::Ignore,
            (StopSignal::Terminate, _) => {
                self.is_stopping = true;
                Step::Begin(Stop::Paced)
            }
            (StopSignal::Interrupt, None) => {
                self.interrupted = Some(now);
                if std::mem::replace(&mut self.is_stopping, true) { Step::Hasten } else { Step::Begin(Stop::AtOnce) }
            }
            (StopSignal::Interrupt, Some(first)) if now.duration_since(first) < REPEATED => Step::Ignore,
            (StopSignal::Interrupt, Some(_)) => Step::Exit,
        }
    }
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

    /// Waits for a signal.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a signal that comes in between is returned by the next call.
    pub(super) async fn next(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.terminate.recv() => StopSignal::Terminate,
            _ = self.interrupt.recv() => StopSignal::Interrupt,
        }
    }

    /// Follows the signals in a task. Returns a future that completes when the server has to stop, and one that
    /// completes, with the exit code, when the process has to exit at once.
    pub(super) fn follow(
        mut self,
        server: ServerHandle,
    ) -> (impl Future<Output = Stop> + Send + use<>, impl Future<Output = u8> + Send + use<>) {
        let ((stop, stopped), (exit, exited)) = (oneshot::channel(), oneshot::channel());
        tokio::spawn(async move {
            let (mut escalation, mut stop) = (Escalation::default(), Some(stop));
            loop {
                let signal = self.next().await;
                let (step, name) = (escalation.next(signal, Instant::now()), signal.name());
                match step {
                    Step::Begin(how) => {
                        supervisor::stopping();
                        match how {
                            Stop::Paced => tracing::info!("{name}: stopping, at a pace that balancers can follow"),
                            Stop::AtOnce => tracing::info!("{name}: stopping now; pending messages are delivered"),
                        }
                        // The server that waits for it may have failed meanwhile.
                        let _ = stop.take().map(|stop| stop.send(how));
                    }
                    Step::Hasten => {
                        tracing::warn!("{name}: the stop is finished now; pending messages are delivered");
                        supervisor::finishing();
                        server.hasten_stop();
                    }
                    Step::Ignore => tracing::info!("{name} again: the stop is in progress"),
                    Step::Exit => {
                        let connections = server.connections();
                        tracing::warn!(connections, "{name} again: exit at once, open connections are cut");
                        // As above.
                        let _ = exit.send(signal.exit_code());
                        return;
                    }
                }
            }
        });
        let exited = async {
            match exited.await {
                Ok(code) => code,
                Err(_) => pending().await,
            }
        };
        (async { stopped.await.unwrap_or(Stop::AtOnce) }, exited)
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

#[cfg(test)]
mod tests {
    use super::*;
    use StopSignal::{Interrupt, Terminate};

    /// Case by case, with the milliseconds at which each signal arrives.
    #[test]
    fn repeated_signals_never_cut_a_stop_short_and_a_second_ctrl_c_does() {
        let start = Instant::now();
        for (signals, last) in [
            (&[(Terminate, 0)][..], Step::Begin(Stop::Paced)),
            (&[(Interrupt, 0)], Step::Begin(Stop::AtOnce)),
            // `docker stop` after `compose down`, a `preStop` hook and the kubelet.
            (&[(Terminate, 0), (Terminate, 1)], Step::Ignore),
            (&[(Terminate, 0), (Terminate, 60_000)], Step::Ignore),
            (&[(Interrupt, 0), (Terminate, 5_000)], Step::Ignore),
            // A person who does not want to wait for the drain.
            (&[(Terminate, 0), (Interrupt, 5_000)], Step::Hasten),
            // npm passes on what the terminal has sent to it and to us.
            (&[(Interrupt, 0), (Interrupt, 1)], Step::Ignore),
            (&[(Interrupt, 0), (Interrupt, 500), (Interrupt, 999)], Step::Ignore),
            (&[(Terminate, 0), (Interrupt, 5_000), (Interrupt, 5_999)], Step::Ignore),
            (&[(Interrupt, 0), (Interrupt, 500), (Interrupt, 1_000)], Step::Exit),
            (&[(Interrupt, 0), (Interrupt, 60_000)], Step::Exit),
            (&[(Terminate, 0), (Interrupt, 5_000), (Terminate, 7_000), (Interrupt, 8_000)], Step::Exit),
        ] {
            let mut escalation = Escalation::default();
            let steps = signals.iter().map(|(signal, ms)| escalation.next(*signal, start + Duration::from_millis(*ms)));
            assert_eq!(steps.last(), Some(last), "{signals:?}");
        }
    }
}
