//! Errors of `accept`: what they mean, and how long to wait after one.

use rustix::io::Errno;
use std::io;
use std::time::Duration;
use tokio::time::sleep;

/// Shortest wait: without descriptors the next attempt fails at once, and a loop without a wait would use a whole core.
const BACKOFF_MIN: Duration = Duration::from_millis(10);

/// Longest wait, and so the time after which free descriptors are noticed at the latest.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Why a connection could not be accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum AcceptError {
    /// The peer closed the connection before it was accepted, which does not concern the next one.
    Aborted,
    /// The process, or the system, has no descriptor left.
    NoDescriptor,
    /// Memory is short, or something unexpected.
    Other,
}

impl From<&io::Error> for AcceptError {
    fn from(error: &io::Error) -> Self {
        match (error.kind(), Errno::from_io_error(error)) {
            (io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset, _) => Self::Aborted,
            (_, Some(Errno::MFILE | Errno::NFILE)) => Self::NoDescriptor,
            _ => Self::Other,
        }
    }
}

/// The wait after an error, which doubles with each error in a row.
#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(BACKOFF_MIN)
    }
}

impl Backoff {
    /// Logs the error and waits.
    pub(super) async fn wait(&mut self, error: &io::Error) {
        tracing::error!(%error, pause = ?self.0, "cannot accept connections");
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(BACKOFF_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart_by_their_number() {
        let error = |errno: Errno| AcceptError::from(&io::Error::from(errno));
        assert_eq!((error(Errno::MFILE), error(Errno::NFILE)), (AcceptError::NoDescriptor, AcceptError::NoDescriptor));
        assert_eq!((error(Errno::CONNABORTED), error(Errno::CONNRESET)), (AcceptError::Aborted, AcceptError::Aborted));
        assert_eq!((error(Errno::NOMEM), error(Errno::NOBUFS)), (AcceptError::Other, AcceptError::Other));
    }

    #[tokio::test(start_paused = true)]
    async fn pause_doubles_up_to_a_second() {
        let mut backoff = Backoff::default();
        let start = tokio::time::Instant::now();
        for _ in 0..10 {
            backoff.wait(&io::ErrorKind::Other.into()).await;
        }
        assert_eq!(start.elapsed(), Duration::from_millis(10 + 20 + 40 + 80 + 160 + 320 + 640 + 3 * 1000));
    }
}
