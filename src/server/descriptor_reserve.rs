//! A reserve descriptor: with it a process that has none left can still say so.
//!
//! A connection that can not be accepted stays in the kernel's queue, where its client waits for nothing and where it
//! keeps the listener readable. So the reserve is given up, the connection accepted, answered, closed, and the reserve
//! taken back.

use socket2::SockRef;
use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::sleep;

/// The answer to who can not be served. What an HTTP library would say, without one.
const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 43\r\nConnection: close\r\nRetry-After: 5\r\n\r\nService Unavailable: no descriptor is left\n";

/// Shortest pause after an accept that failed: without descriptors the next one fails at once, and a loop would spin.
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// Longest one: so late, at most, is noticed that there are descriptors again.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Why a connection could not be accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Trouble {
    /// The peer left before it was accepted; the next one is not concerned.
    PeerLeft,
    /// No descriptor is left, of the process or of the system.
    NoDescriptor,
    /// Memory is short, or something that nobody foresaw.
    Other,
}

impl Trouble {
    pub(crate) fn of(error: &io::Error) -> Self {
        use rustix::io::Errno;
        match error.kind() {
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset => Self::PeerLeft,
            _ if [Some(Errno::MFILE.raw_os_error()), Some(Errno::NFILE.raw_os_error())]
                .contains(&error.raw_os_error()) =>
            {
                Self::NoDescriptor
            }
            _ => Self::Other,
        }
    }
}

/// The descriptor kept for bad times.
#[derive(Debug)]
pub(crate) struct Reserve(Option<File>);

impl Reserve {
    /// Takes one, if there is one.
    pub(crate) fn new() -> Self {
        let mut reserve = Self(None);
        reserve.restore();
        reserve
    }

    /// Gives it up; returns whether there was one.
    pub(crate) fn release(&mut self) -> bool {
        self.0.take().is_some()
    }

    /// Takes it back.
    pub(crate) fn restore(&mut self) {
        // Without one nobody is told, and everything else goes on.
        self.0 = File::open("/dev/null").ok();
    }
}

/// Tells a client that it can not be served, without waiting for it.
pub(crate) fn turn_away(stream: &TcpStream) {
    // A fresh socket takes it; who has gone does not need it.
    let _ = stream.try_write(ANSWER);
    let _ = SockRef::from(stream).shutdown(Shutdown::Write);
    // Bytes that nobody has read would make the kernel reset the connection, and the answer be lost.
    let _ = stream.try_read(&mut [0; 4096]);
}

/// How long to wait after an accept that failed.
#[derive(Debug)]
pub(crate) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(PAUSE_MIN)
    }
}

impl Pause {
    /// Waits, and longer the next time.
    pub(crate) async fn wait(&mut self, error: &io::Error) {
        tracing::error!(%error, pause = ?self.0, "can not accept connections");
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A length that is wrong makes clients wait, or read half of it.
    #[test]
    fn answer_has_the_length_it_says() {
        let text = std::str::from_utf8(ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{}", body.len());
    }

    #[tokio::test(start_paused = true)]
    async fn pause_doubles_up_to_a_second() {
        let mut pause = Pause::default();
        let start = tokio::time::Instant::now();
        for _ in 0..10 {
            pause.wait(&io::ErrorKind::Other.into()).await;
        }
        assert_eq!(start.elapsed(), Duration::from_millis(10 + 20 + 40 + 80 + 160 + 320 + 640 + 3 * 1000));
    }
}
