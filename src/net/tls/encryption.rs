//! Encryption: the TLS state of one connection, between its plain bytes and its socket.
//!
//! The reader and the shard share it under a lock that is held for a few records at a time. There is no task and no
//! queue in between: the shard encrypts and writes. A record cannot be undone once it is encrypted, so the rest of the
//! records that did not fit into the socket stays here, and the sink is full until they are written. Nothing else is
//! buffered.

use crate::hub::Sent;
use crate::net::readiness::{Received, note_full};
use parking_lot::Mutex;
use rustls::ServerConnection;
use smallvec::SmallVec;
use socket2::SockRef;
use std::io::{self, IoSlice, Read, Write};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Plain bytes that are encrypted before a write: four of the largest records, and as many as the rest of a plain frame
/// can have. With one record per write the kernel took twice the time per byte.
const WRITE_BYTES: usize = 64 * 1024;

/// The keys and counters of a connection, and the records that are not written yet.
#[derive(Debug)]
pub(crate) struct Encryption {
    connection: Mutex<ServerConnection>,
}

/// The result of writing pending records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum TlsFlush {
    /// None is left.
    All,
    /// The socket is full.
    Full,
    /// The connection is broken.
    Gone,
}

impl Encryption {
    /// Takes over a connection after its handshake.
    pub(crate) fn new(mut connection: ServerConnection) -> Self {
        connection.set_buffer_limit(Some(WRITE_BYTES));
        Self { connection: Mutex::new(connection) }
    }

    /// Encrypts and writes, some records at a time, until the socket is full. It may take all bytes and still be full.
    ///
    /// # Hot path
    ///
    /// Once per delivery: an uncontended lock, an allocation and 0.3 to 1 us of encryption per record, and one system
    /// call. See `benches/tls_fan_out.rs`.
    pub(crate) fn send(&self, stream: &TcpStream, slices: &[IoSlice<'_>]) -> Sent {
        let mut connection = self.connection.lock();
        let (mut left, mut taken) = (SmallVec::<[IoSlice<'_>; 16]>::from_slice(slices), 0);
        let mut left = left.as_mut_slice();
        loop {
            // Records that are pending, such as alerts and new keys from the reader, precede new ones.
            match flush(&mut connection, stream) {
                TlsFlush::All if left.is_empty() => return Sent::All,
                TlsFlush::All => {}
                TlsFlush::Full => return Sent::Short(taken),
                TlsFlush::Gone => return Sent::Gone,
            }
            match connection.writer().write_vectored(left) {
                // Only when the keys are exhausted and cannot be renewed.
                Ok(0) | Err(_) => return Sent::Gone,
                Ok(more) => {
                    taken += more;
                    IoSlice::advance_slices(&mut left, more);
                }
            }
        }
    }

    /// Writes pending records, and returns whether the socket is full again.
    pub(crate) fn is_full(&self, stream: &TcpStream) -> bool {
        flush(&mut self.connection.lock(), stream) == TlsFlush::Full
    }

    /// Reads and decrypts without waiting, until the buffer is full.
    pub(crate) fn receive(&self, stream: &TcpStream, buffer: &mut [u8]) -> Received<usize> {
        let mut taken = 0;
        loop {
            // Locked for one record at a time, so that the shard can write in between.
            let mut connection = self.connection.lock();
            match connection.reader().read(&mut buffer[taken..]) {
                Ok(decrypted) if decrypted > 0 => taken += decrypted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The peer has ended, or was cut off. Bytes from before are returned first.
                Ok(_) | Err(_) => return if taken > 0 { Received::Bytes(taken) } else { Received::End },
            }
            // The caller calls again: decrypted bytes may be left, and the socket is still marked as readable.
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

    /// Returns the bytes that are decrypted already.
    pub(crate) fn decrypted(&self) -> Vec<u8> {
        let (mut connection, mut decrypted) = (self.connection.lock(), Vec::new());
        // Ends with `WouldBlock`, because the stream has not ended.
        let _ = connection.reader().read_to_end(&mut decrypted);
        decrypted
    }

    /// Tells the peer that no bytes follow, so that it can distinguish the end from a truncation.
    pub(crate) fn close_notify(&self, stream: &TcpStream) {
        let mut connection = self.connection.lock();
        connection.send_close_notify();
        // Two dozen bytes. If the socket has no room for them, the peer sees a truncation.
        let _ = flush(&mut connection, stream);
    }
}

/// Reads records from the socket and decrypts them.
fn read_records(connection: &mut ServerConnection, stream: &TcpStream) -> Received<()> {
    match stream.try_io(Interest::READABLE, || connection.read_tls(&mut &*SockRef::from(stream))) {
        Ok(0) => return Received::End,
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Received::Nothing,
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Received::Bytes(()),
        Err(_) => return Received::End,
    }
    let is_broken = connection.process_new_packets().is_err();
    // A new key, or an alert about an error. If the socket is full, it is written before the next record.
    let _ = flush(connection, stream);
    if is_broken { Received::End } else { Received::Bytes(()) }
}

/// Writes pending records.
fn flush(connection: &mut ServerConnection, stream: &TcpStream) -> TlsFlush {
    while connection.wants_write() {
        match connection.write_tls(&mut SocketWriter(stream)) {
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

/// Writes to the socket without reading the runtime's record of its readiness, as for plain bytes.
struct SocketWriter<'a>(&'a TcpStream);

impl Write for SocketWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        SockRef::from(self.0).send(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            // The common case. A list of slices would add a tenth to the cost of a small send.
            [record] => SockRef::from(self.0).send(record),
            records => SockRef::from(self.0).send_vectored(records),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
