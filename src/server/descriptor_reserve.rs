//! A reserve descriptor: with it a process that has no other descriptor left can still refuse connections.
//!
//! A connection that cannot be accepted stays in the kernel's queue. There its client waits in vain, and it keeps the
//! listener readable. So the reserve is released, the connection is accepted, refused and closed, and the reserve is
//! acquired again.

use socket2::SockRef;
use std::fs::File;
use std::net::Shutdown;
use tokio::net::TcpStream;

/// The response to a client that cannot be served: HTTP without the HTTP layer, which would need memory and time.
const RESPONSE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 43\r\nConnection: close\r\nRetry-After: 5\r\n\r\nService Unavailable: no descriptor is left\n";

/// The descriptor; `None` while it is released, or when it could not be acquired.
#[derive(Debug)]
pub(super) struct DescriptorReserve(Option<File>);

impl DescriptorReserve {
    pub(super) fn new() -> Self {
        let mut reserve = Self(None);
        reserve.acquire();
        reserve
    }

    /// Releases the descriptor. Returns whether there was one.
    pub(super) fn release(&mut self) -> bool {
        self.0.take().is_some()
    }

    /// Acquires a descriptor if one is free. Without one, clients are not refused but wait.
    pub(super) fn acquire(&mut self) {
        self.0 = File::open("/dev/null").ok();
    }
}

/// Sends a client the response, without waiting for it.
pub(super) fn respond(stream: &TcpStream) {
    // The buffer of a new socket has room for it. An error means that the client has gone.
    let _ = stream.try_write(RESPONSE);
    let _ = SockRef::from(stream).shutdown(Shutdown::Write);
    // A close with unread bytes resets the connection, which could destroy the response on its way.
    let _ = stream.try_read(&mut [0; 4096]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a wrong length clients would wait, or read half of it.
    #[test]
    fn response_has_the_length_that_it_declares() {
        let text = std::str::from_utf8(RESPONSE).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{}", body.len());
    }
}
