//! Connecting: opens connections at a steady rate and sees each through its handshake.

use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use mio::net::TcpStream;
use mio::{Interest, Token};
use socket2::{Domain, Protocol, Socket, Type};

use crate::client::{Client, State};
use crate::clock::nanos;
use crate::engine::Engine;
use crate::handshake::{Answer, judge, request};
use crate::stop::Stop;

/// Connections that may be in their handshake at a time. Servers' accept queues hold 128 at least.
const UNDER_WAY_MAX: usize = 128;

/// A server that finishes no handshake for this long is not going to.
const PATIENCE: Duration = Duration::from_secs(10);

/// Receive buffer of those that are going to stall, in bytes (Linux doubles it). What fits here was never the server's
/// problem; less than this makes loopback's large segments stutter even while everybody reads.
const STALL_RECEIVE_BUFFER: usize = 16 * 1024;

impl Engine {
    /// Opens connections until `total` were opened, and returns how long that took.
    ///
    /// # Errors
    ///
    /// Fails when the server can not be reached or refuses a handshake.
    pub(crate) fn connect_to(&mut self, total: usize) -> Result<Duration> {
        let start = self.clock.now_ns();
        let already = self.clients.len();
        let (mut seen, mut seen_at) = (self.opened, start);
        while self.opened < total && !self.is_interrupted() {
            let now = self.clock.now_ns();
            let allowed = Duration::from_nanos(now - start).as_secs_f64() * self.config.connect_rate;
            while self.clients.len() < total
                && self.clients.len() - self.opened < UNDER_WAY_MAX
                && (self.clients.len() - already) as f64 <= allowed
            {
                self.connect()?;
            }
            self.turn(now + nanos(Duration::from_millis(1)))?;
            if self.opened > seen {
                (seen, seen_at) = (self.opened, now);
            } else if now - seen_at > nanos(PATIENCE) {
                let text =
                    format!("{} answered no handshake for {PATIENCE:?}, {seen} of {total} are open", self.config.url);
                return Err(Stop::Server(text).into());
            }
        }
        if self.is_interrupted() {
            return Err(Stop::Interrupted.into());
        }
        Ok(Duration::from_nanos(self.clock.now_ns() - start))
    }

    /// Begins one connection.
    fn connect(&mut self) -> Result<()> {
        let index = self.clients.len();
        let address = self.config.url.address;
        let is_going_to_stall = index >= self.config.connections() - self.config.stalled();
        let begin = || -> std::io::Result<TcpStream> {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            socket.set_nonblocking(true)?;
            socket.set_tcp_nodelay(true)?;
            if is_going_to_stall {
                socket.set_recv_buffer_size(STALL_RECEIVE_BUFFER)?;
            }
            if self.config.source_addresses > 1 && address.is_ipv4() {
                // At most 254, as the command line checks.
                let last = u8::try_from(index % usize::from(self.config.source_addresses)).unwrap_or_default() + 1;
                socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)).into())?;
            }
            match socket.connect(&address.into()) {
                // EINPROGRESS, which is how it should be.
                Err(error) if error.raw_os_error() != Some(115) && error.kind() != ErrorKind::WouldBlock => {
                    return Err(error);
                }
                _ => {}
            }
            let mut stream = TcpStream::from_std(socket.into());
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(index), interest)?;
            Ok(stream)
        };
        let stream = begin().map_err(|error| self.unreachable(index, &error))?;
        self.clients.push(Client::new(stream));
        Ok(())
    }

    /// Says what went wrong and what to do.
    fn unreachable(&self, index: usize, error: &std::io::Error) -> Stop {
        let url = &self.config.url;
        let advice = match error.kind() {
            ErrorKind::ConnectionRefused => "is the server running there?",
            ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse => "out of ports: raise --source-addresses",
            _ => "see the server's log",
        };
        Stop::Server(format!("connection {index} to {url} failed: {error}; {advice}"))
    }

    /// Sends the request once the TCP handshake is over.
    pub(crate) fn connected(&mut self, index: usize) -> Result<()> {
        let stream = self.clients[index].stream.as_ref().context("a connecting client has a socket")?;
        if let Err(error) = stream.take_error().and_then(|error| error.map_or(Ok(()), Err)) {
            return Err(self.unreachable(index, &error).into());
        }
        if stream.peer_addr().is_err() {
            return Ok(());
        }
        let request = request(&self.config.url.host, &self.config.url.path);
        let client = &mut self.clients[index];
        client.queue_raw(request.as_bytes());
        client.flush();
        client.shrink();
        client.state = State::Shaking(Vec::new());
        Ok(())
    }

    /// Reads the answer to the handshake, and whatever came right behind it.
    pub(crate) fn shake(&mut self, index: usize, is_closing: bool) -> Result<()> {
        let Client { stream: Some(stream), state: State::Shaking(answer), .. } = &mut self.clients[index] else {
            return Ok(());
        };
        let mut buffer = [0; 4096];
        loop {
            let read = stream.read(&mut buffer);
            match read {
                Ok(0) => break,
                Ok(len) => answer.extend_from_slice(&buffer[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.unreachable(index, &error).into()),
            }
            // The rest belongs to the reader.
            if judge(answer) != Answer::Unfinished {
                break;
            }
        }
        let (url, opened) = (&self.config.url, self.opened);
        let refused = |why: &str| Stop::Server(format!("{url} refused connection {index}: {why}; {opened} are open"));
        match judge(answer) {
            Answer::Unfinished if is_closing => return Err(refused("closed during the handshake").into()),
            Answer::Unfinished => return Ok(()),
            Answer::Refused(why) => return Err(refused(&why).into()),
            Answer::Agreed(end) => {
                let early = answer.split_off(end);
                self.clients[index].state = State::Open;
                self.opened += 1;
                self.take_early(index, &early)?;
            }
        }
        self.read(index, is_closing)
    }
}
