//! Brief responses: HTTP without the HTTP layer, for clients that it has no memory, time or descriptor for.

use socket2::SockRef;
use std::net::Shutdown;
use tokio::net::TcpStream;

const NO_DESCRIPTOR: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 43\r\nConnection: close\r\nRetry-After: 5\r\n\r\nService Unavailable: no descriptor is left\n";

const TOO_MANY_REQUESTS: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 69\r\nConnection: close\r\nRetry-After: 5\r\n\r\n\
    Too Many Requests: too many handshakes of this address are under way\n";

/// Tells a client that the process has no descriptor for it.
pub(super) fn no_descriptor(stream: &TcpStream) {
    send(stream, NO_DESCRIPTOR);
}

/// Tells a client that its address has too many handshakes in progress.
pub(super) fn too_many_requests(stream: &TcpStream) {
    send(stream, TOO_MANY_REQUESTS);
}

/// Sends a response without waiting for it.
fn send(stream: &TcpStream, response: &[u8]) {
    let socket = SockRef::from(stream);
    // The buffer of a new socket has room for it. An error means that the client has gone. Not by way of the runtime,
    // which does not know yet that a socket accepted just now can be written.
    let _ = socket.send(response);
    let _ = socket.shutdown(Shutdown::Write);
    // A close with unread bytes resets the connection, which could destroy the response on its way.
    let _ = rustix::io::read(stream, &mut [0; 4096]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a wrong length clients would wait, or read half of it.
    #[test]
    fn response_has_the_length_that_it_declares() {
        for response in [NO_DESCRIPTOR, TOO_MANY_REQUESTS] {
            let text = std::str::from_utf8(response).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{}", body.len());
        }
    }
}
