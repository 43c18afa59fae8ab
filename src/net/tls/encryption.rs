//! An encryption: the TLS state of one connection, between its plain bytes and its socket.
//!
//! The reader and the shard share it under a lock that is held for a few records at a time. There is no task and no
//! queue in between: the shard encrypts and writes. What has become a record can not be taken back, so when the socket
//! is full the rest of those records stays here, and the sink is full until it is out: that is all it ever holds.

use crate::hub::Sent;
use crate::net::readiness::{Received, note_full};
use parking_lot::Mutex;
use rustls::ServerConnection;
use smallvec::SmallVec;
use socket2::SockRef;
use std::io::{self, IoSlice, Read, Write};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Plain bytes that are encrypted before they are written: as many as the rest of a plain frame can be, and four of the
/// largest records. One record per write took twice the kernel's time per byte.
const WRITE_BYTES: usize = 64 * 1024;

/// Keys, counters, and what is on its way out.
#[derive(Debug)]
pub(crate) struct Encryption {
    connection: Mutex<ServerConnection>,
}

/// What became of what waits for the socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum TlsFlush {
    /// It is out.
    All,
    /// The socket is full.
    Full,
    /// The connection broke.
    Gone,
}

impl Encryption {
    /// Goes on with a connection whose handshake is made.
    pub(crate) fn new(mut connection: ServerConnection) -> Self {
        connection.set_buffer_limit(Some(WRITE_BYTES));
        Self { connection: Mutex::new(connection) }
    }

    /// Encrypts and writes, some records at a time, until the socket is full. It may take all and still be full.
    ///
    /// # Hot path
    ///
    /// Once per delivery: a lock that nobody else wants, an allocation and 0.3 to 1 us of arithmetic per record, and
    /// one system call. See `benches/tls_fan_out.rs`.
    pub(crate) fn send(&self, stream: &TcpStream, slices: &[IoSlice<'_>]) -> Sent {
        let mut connection = self.connection.lock();
        let (mut left, mut taken) = (SmallVec::<[IoSlice<'_>; 16]>::from_slice(slices), 0);
        let mut left = left.as_mut_slice();
        loop {
            // First what the reader had to answer, then what was encrypted.
            match flush(&mut connection, stream) {
                TlsFlush::All if left.is_empty() => return Sent::All,
                TlsFlush::All => {}
                TlsFlush::Full => return Sent::Short(taken),
                TlsFlush::Gone => return Sent::Gone,
            }
            match connection.writer().write_vectored(left) {
                // It takes nothing only when its keys are used up and it can have no others.
                Ok(0) | Err(_) => return Sent::Gone,
                Ok(more) => {
                    taken += more;
                    IoSlice::advance_slices(&mut left, more);
                }
            }
        }
    }

    /// Writes what waits, and returns whether the socket is full again.
    pub(crate) fn is_full(&self, stream: &TcpStream) -> bool {
        flush(&mut self.connection.lock(), stream) == TlsFlush::Full
    }

    /// Reads and decrypts what is there, without waiting, as far as there is room for it.
    pub(crate) fn receive(&self, stream: &TcpStream, buffer: &mut [u8]) -> Received<usize> {
        let mut taken = 0;
        loop {
            // For one record at a time: the shard may want to write.
            let mut connection = self.connection.lock();
            match connection.reader().read(&mut buffer[taken..]) {
                Ok(decrypted) if decrypted > 0 => taken += decrypted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The peer has ended, or was cut off; what it said before comes first.
                Ok(_) | Err(_) => return if taken > 0 { Received::Bytes(taken) } else { Received::End },
            }
            // What is left in here is read before the socket is, whose readiness is not cleared yet.
            if taken == buffer.len() {
                return Received::Bytes(taken);
            }
            match read_records(&mut connection, stream) {
                Received::Bytes(()) => {}
                Received::Nothing | Received::End if taken > 0 => return Received::Bytes(taken),
                Received::Nothing => return Received::Nothing,
                Received::End => return Received::End,
            }
        }
    }

    /// Returns what is decrypted already.
    pub(crate) fn decrypted(&self) -> Vec<u8> {
        let (mut connection, mut decrypted) = (self.connection.lock(), Vec::new());
        // Ends with an error, because more may come from the socket.
        let _ = connection.reader().read_to_end(&mut decrypted);
        decrypted
    }

    /// Tells the peer that nothing follows, so that it can tell an end from a cut.
    pub(crate) fn close_notify(&self, stream: &TcpStream) {
        let mut connection = self.connection.lock();
        connection.send_close_notify();
        // Two dozen bytes. A socket that has no room for them leaves the peer with a cut.
        let _ = flush(&mut connection, stream);
    }
}

/// Takes bytes from the socket and makes plain ones of them.
fn read_records(connection: &mut ServerConnection, stream: &TcpStream) -> Received<()> {
    match stream.try_io(Interest::READABLE, || connection.read_tls(&mut &*SockRef::from(stream))) {
        Ok(0) => return Received::End,
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Received::Nothing,
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Received::Bytes(()),
        Err(_) => return Received::End,
    }
    let is_broken = connection.process_new_packets().is_err();
    // A new key, or an alert that says what was wrong. What the socket does not take leaves before the next record.
    let _ = flush(connection, stream);
    if is_broken { Received::End } else { Received::Bytes(()) }
}

/// Writes what waits for the socket.
fn flush(connection: &mut ServerConnection, stream: &TcpStream) -> TlsFlush {
    while connection.wants_write() {
        match connection.write_tls(&mut Out(stream)) {
            Ok(0) => return TlsFlush::Gone,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                note_full(stream);
                return TlsFlush::Full;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return TlsFlush::Gone,
        }
    }
    TlsFlush::All
}

/// The way out: the socket, not the runtime's record of it, as for plain bytes.
struct Out<'a>(&'a TcpStream);

impl Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        SockRef::from(self.0).send(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            // Most often; and a list of slices costs the kernel a tenth of a small send.
            [record] => SockRef::from(self.0).send(record),
            records => SockRef::from(self.0).send_vectored(records),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
