//! A dialer: makes sockets and begins their TCP handshakes.

use super::share::Share;
use super::stream::Stream;
use super::tls::Tls;
use crate::config::Config;
use anyhow::Result;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// Receive buffer of the clients that are going to stall, in bytes (Linux doubles it). What fits in here never reaches
/// the server as back-pressure; with less, loopback's large segments stutter even while all clients read.
const STALL_RECEIVE_BUFFER: usize = 16 * 1024;

/// Ports of the clients: those that Linux assigns by default, without the last thousand. A port that is bound here, on
/// any address, is none for a connection that lets the system choose one: of the metrics, the API, the next program.
const PORTS: std::ops::Range<u16> = 32_768..60_000;

/// Ports tried for a client before there seems to be none.
const PORT_TRIES: usize = 1000;

/// EINPROGRESS: how connecting without waiting begins.
const IN_PROGRESS: i32 = 115;

/// What all sockets of a worker have in common.
#[derive(Debug)]
pub(super) struct Dialer {
    config: Arc<Config>,
    share: Share,
    registry: Registry,
    /// Present if the target is encrypted.
    tls: Option<Tls>,
    /// Ports requested so far.
    binds: usize,
}

impl Dialer {
    /// Returns a dialer whose sockets are registered with `registry`.
    ///
    /// # Errors
    ///
    /// Fails when the target's host is no name that TLS could verify.
    pub(super) fn new(config: Arc<Config>, share: Share, registry: Registry) -> Result<Self> {
        let tls = Tls::of(&config.url)?;
        Ok(Self { config, share, registry, tls, binds: 0 })
    }

    /// Begins to connect the client `index`.
    ///
    /// # Errors
    ///
    /// Fails as the system does, and when no port is free.
    pub(super) fn dial(&mut self, index: usize) -> io::Result<Stream> {
        let number = self.share.global(index);
        let mut begun = self.begin(index, number);
        for _ in 0..PORT_TRIES {
            let taken = [ErrorKind::AddrInUse, ErrorKind::AddrNotAvailable];
            let is_taken = begun.as_ref().is_err_and(|error| taken.contains(&error.kind()));
            // With one source address the kernel chose the port, and trying again would not help.
            if !is_taken || self.config.source_addresses == 1 {
                break;
            }
            begun = self.begin(index, number);
        }
        begun
    }

    fn begin(&mut self, index: usize, number: usize) -> io::Result<Stream> {
        let address = self.config.server(number).address;
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if number >= self.config.connections() - self.config.load.stalled() {
            socket.set_recv_buffer_size(STALL_RECEIVE_BUFFER)?;
        }
        if self.config.source_addresses > 1 && address.is_ipv4() {
            self.bind(&socket, number)?;
        }
        match socket.connect(&address.into()) {
            Err(error) if error.raw_os_error() != Some(IN_PROGRESS) && error.kind() != ErrorKind::WouldBlock => {
                return Err(error);
            }
            _ => {}
        }
        let mut stream = TcpStream::from_std(socket.into());
        self.registry.register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        Stream::new(stream, self.tls.as_ref())
    }

    /// Gives a socket its own address and port. The kernel would search all ports for one that is free for any peer,
    /// which takes milliseconds once some ten thousand are taken.
    fn bind(&mut self, socket: &Socket, number: usize) -> io::Result<()> {
        // At most 254, as the command line checks.
        let last = u8::try_from(number % usize::from(self.config.source_addresses)).unwrap_or_default() + 1;
        let Share { index, of } = self.share;
        // Each worker uses ports of its own. The seed moves the first one, so that it is not that of an earlier run.
        let offset = (self.config.seed % PORTS.len() as u64).saturating_add((self.binds * of + index) as u64);
        self.binds += 1;
        let port = PORTS.start + u16::try_from(offset % PORTS.len() as u64).unwrap_or_default();
        // An earlier run may have left the port in TIME_WAIT.
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), port)).into())
    }
}
