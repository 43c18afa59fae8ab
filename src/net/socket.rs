//! A socket, encrypted or not: shared by the reader of a connection and by its sink, non-blocking.

use super::readiness::{Received, note_full};
use super::tcp_info;
use super::tls::Encryption;
use crate::config::SocketLimits;
use crate::hub::{Sent, Sink, Wire};
use rustls::ServerConnection;
use socket2::SockRef;
use std::io::{self, IoSlice, Read};
use std::net::{IpAddr, Ipv6Addr, Shutdown};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::io::Interest;
use tokio::net::{TcpSocket, TcpStream};

/// Bytes by which the send buffer of a full socket is raised for a close frame and what precedes it. The kernel doubles
/// it. The rest of a frame is at most 64 KiB by default.
const CLOSING_BYTES: usize = 64 * 1024;

/// One connection's socket, shared by its reader and its sink.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    /// On the cache line of the descriptor, which every write needs, so the check for it costs nothing.
    encryption: Option<Box<Encryption>>,
    /// The address of the client; IPv4 is mapped, which takes 8 bytes less than an `IpAddr`.
    client: Ipv6Addr,
}

impl Socket {
    /// Returns a socket whose bytes go out as they are.
    pub fn plain(stream: TcpStream) -> Self {
        Self { stream, encryption: None, client: Ipv6Addr::UNSPECIFIED }
    }

    /// Returns a socket whose bytes are encrypted, after the handshake.
    pub fn encrypted(stream: TcpStream, connection: ServerConnection) -> Self {
        Self { encryption: Some(Box::new(Encryption::new(connection))), ..Self::plain(stream) }
    }

    /// Sets the address of the client, as known after the headers of proxies were read.
    pub(crate) fn with_client(self, client: IpAddr) -> Self {
        let client = match client {
            IpAddr::V4(client) => client.to_ipv6_mapped(),
            IpAddr::V6(client) => client,
        };
        Self { client, ..self }
    }

    /// Returns the bytes that were decrypted together with the request. The socket does not become readable for them.
    pub(crate) fn prefetched(&self) -> Vec<u8> {
        self.encryption.as_ref().map_or_else(Vec::new, |encryption| encryption.decrypted())
    }

    /// Waits for bytes, the end of the stream, or an error.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_read_ready(cx).map(drop)
    }

    /// Reads without waiting.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Received<usize> {
        match &self.encryption {
            None => receive(&self.stream, buffer),
            Some(encryption) => encryption.receive(&self.stream, buffer),
        }
    }

    /// Ends the write side; bytes that were sent before still arrive.
    pub(crate) fn finish(&self) {
        if let Some(encryption) = &self.encryption {
            encryption.close_notify(&self.stream);
        }
        // Fails only when the peer ended first.
        let _ = SockRef::from(&self.stream).shutdown(Shutdown::Write);
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// The write side of a connection.
#[derive(Debug)]
pub struct SocketSink {
    socket: Arc<Socket>,
}

impl SocketSink {
    /// Returns the write side of a socket; the read side keeps its own reference.
    pub fn new(socket: Arc<Socket>) -> Self {
        Self { socket }
    }

    /// Makes one write.
    ///
    /// # Hot path
    ///
    /// Once per delivery of a message: one system call. The runtime's own record of the readiness is not read: that is
    /// a cache line per connection, cold after every pause, and 4 % of a delivery. It is not needed, because full
    /// sockets are parked and not written to.
    fn write_once(&self, offered: usize, write: impl FnOnce(SockRef<'_>) -> io::Result<usize>) -> Sent {
        match write(SockRef::from(&self.socket.stream)) {
            Ok(taken) if taken == offered => Sent::All,
            Ok(taken) => self.note_full(taken),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.note_full(0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Sent::Short(0),
            Err(_) => Sent::Gone,
        }
    }

    #[cold]
    fn note_full(&self, taken: usize) -> Sent {
        note_full(&self.socket.stream);
        Sent::Short(taken)
    }
}

impl Sink for SocketSink {
    fn send(&mut self, bytes: &[u8]) -> Sent {
        match &self.socket.encryption {
            None => self.write_once(bytes.len(), |socket| socket.send(bytes)),
            Some(encryption) => encryption.send(&self.socket.stream, &[IoSlice::new(bytes)]),
        }
    }

    fn send_vectored(&mut self, slices: &[IoSlice<'_>]) -> Sent {
        if let Some(encryption) = &self.socket.encryption {
            return encryption.send(&self.socket.stream, slices);
        }
        let offered = slices.iter().map(|slice| slice.len()).sum();
        self.write_once(offered, |socket| socket.send_vectored(slices))
    }

    fn poll_writable(&mut self, waker: &Waker) -> Poll<()> {
        let Socket { stream, encryption, .. } = &*self.socket;
        let mut cx = Context::from_waker(waker);
        // An error is writable too: the next write reports it.
        while stream.poll_write_ready(&mut cx).is_ready() {
            match encryption {
                Some(encryption) if encryption.is_full(stream) => {}
                Some(_) | None => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }

    fn make_room(&mut self) {
        let socket = SockRef::from(&self.socket.stream);
        // Raising either limit also tells the runtime, through epoll, that the socket takes bytes again. They fail only
        // when the socket is gone.
        let _ = socket.set_tcp_notsent_lowat(u32::MAX);
        let _ = socket.set_send_buffer_size(socket.send_buffer_size().unwrap_or(0) + CLOSING_BYTES);
    }

    fn wire(&self) -> Option<Wire> {
        Some(Wire { client: self.socket.client.to_bits(), tcp: tcp_info::query(self.socket.as_fd()) })
    }

    fn finish(&mut self) {
        self.socket.finish();
    }

    fn abort(&mut self) {
        let socket = SockRef::from(&self.socket.stream);
        // With a linger of zero the kernel drops its buffers at once, which is what a stalled peer costs. Shutting
        // down both sides wakes the reader. Both fail only when the socket is gone already.
        let _ = socket.set_linger(Some(std::time::Duration::ZERO));
        let _ = socket.shutdown(Shutdown::Both);
    }
}

/// Sets the options that every connection needs on its listener: no delay (Nagle), and bounds for the kernel's buffers.
/// On Linux accepted sockets inherit them, so a connection costs no system call for it.
///
/// # Errors
///
/// The error of `setsockopt`.
pub(crate) fn prepare(listener: &TcpSocket, limits: &SocketLimits) -> io::Result<()> {
    let socket = SockRef::from(listener);
    socket.set_tcp_nodelay(true)?;
    socket.set_send_buffer_size(limits.send_buffer_bytes)?;
    socket.set_tcp_notsent_lowat(limits.notsent_bytes)
}

/// Reads without waiting.
fn receive(stream: &TcpStream, buffer: &mut [u8]) -> Received<usize> {
    let mut taken = 0;
    let result = stream.try_io(Interest::READABLE, || {
        taken = (&*SockRef::from(stream)).read(buffer)?;
        // A short read has emptied the socket. `WouldBlock` makes the runtime clear the readiness, which saves another
        // read that would only fail with EAGAIN.
        let is_short = 0 < taken && taken < buffer.len();
        if is_short { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match result {
        Ok(()) if taken == 0 => Received::End,
        Err(error) if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Received::End,
        Ok(()) | Err(_) if taken > 0 => Received::Bytes(taken),
        Ok(()) | Err(_) => Received::Nothing,
    }
}
