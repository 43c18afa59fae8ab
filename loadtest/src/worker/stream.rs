//! A stream: a client's socket, plain or encrypted, which does not block.

use super::tls::Tls;
use mio::net::TcpStream;
use rustls::ClientConnection;
use std::io::{self, ErrorKind, Read, Write};

/// A client's socket.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: TcpStream,
    /// Boxed: most runs have none, and some have very many clients.
    tls: Option<Box<ClientConnection>>,
}

impl Stream {
    /// Takes a socket whose TCP handshake has begun; that of TLS follows with the first bytes.
    ///
    /// # Errors
    ///
    /// None in practice: the settings are complete.
    pub(crate) fn new(socket: TcpStream, tls: Option<&Tls>) -> io::Result<Self> {
        let tls = tls.map(Tls::begin).transpose().map_err(io::Error::other)?;
        Ok(Self { socket, tls: tls.map(Box::new) })
    }

    pub(crate) const fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Whether something encrypted waits for the socket.
    pub(crate) fn is_held_back(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Writes what is encrypted and waits.
    pub(crate) fn push(&mut self) -> io::Result<()> {
        self.tls.as_mut().map_or(Ok(()), |tls| push(tls, &mut self.socket))
    }

    /// Writes what the kernel takes, and removes it from `out`. A dead socket swallows everything: its end is seen by
    /// reading.
    pub(super) fn write_from(&mut self, out: &mut Vec<u8>) {
        // Bytes that are encrypted already go first. A failure shows in the next write, or by reading.
        let _ = self.push();
        let mut done = 0;
        while done < out.len() {
            match self.write(&out[done..]) {
                Ok(written) => done += written,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Before the end of the TCP handshake nothing is taken.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => break,
                Err(_) => done = out.len(),
            }
        }
        out.drain(..done);
    }
}

fn push(tls: &mut ClientConnection, socket: &mut TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(socket)?;
    }
    Ok(())
}

/// Ignores a full socket: it keeps the encrypted bytes, and the next edge writes them.
fn unless_full(pushed: io::Result<()>) -> io::Result<()> {
    pushed.or_else(|error| if error.kind() == ErrorKind::WouldBlock { Ok(()) } else { Err(error) })
}

impl Read for Stream {
    /// Reads as a plain socket does: after a short read nothing more is there.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.socket.read(buffer) };
        let mut taken = 0;
        while taken < buffer.len() {
            match tls.reader().read(&mut buffer[taken..]) {
                Ok(0) => break,
                Ok(more) => taken += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => match tls.read_tls(&mut self.socket) {
                    Ok(0) => break,
                    Ok(_) => {
                        tls.process_new_packets().map_err(io::Error::other)?;
                        unless_full(push(tls, &mut self.socket))?;
                    }
                    Err(error) if taken == 0 => return Err(error),
                    Err(_) => break,
                },
                // The peer closed without a close_notify.
                Err(_) => break,
            }
        }
        Ok(taken)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.socket.write(bytes) };
        unless_full(push(tls, &mut self.socket))?;
        let taken = tls.writer().write(bytes)?;
        unless_full(push(tls, &mut self.socket))?;
        if taken == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
