//! Connecting: opens connections at a steady rate and sees each through its handshake and its first words.

use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use mio::net::TcpStream;
use mio::{Interest, Token};
use socket2::{Domain, Protocol, Socket, Type};

use crate::clock::{nanos, now_ns, seconds};
use crate::stop::Stop;
use crate::wire::face::CHANNEL;
use crate::wire::handshake::{Answer, judge, request};
use crate::worker::client::{Client, State};
use crate::worker::engine::Engine;
use crate::worker::order::{Connected, Share};
use crate::worker::stream::Stream;
use crate::worker::validate::Validators;

/// Connections that may be in their handshake at a time. Servers' accept queues hold 128 at least.
const UNDER_WAY_MAX: usize = 128;

/// A server that finishes no handshake for this long is not going to.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Receive buffer of those that are going to stall, in bytes (Linux doubles it). What fits here was never the server's
/// problem; less than this makes loopback's large segments stutter even while everybody reads.
const STALL_RECEIVE_BUFFER: usize = 16 * 1024;

/// Ports of the clients, as Linux gives them by default.
const PORTS: std::ops::Range<u16> = 32_768..60_999;

/// Ports tried for a client before there seems to be none.
const PORT_TRIES: usize = 1000;

/// EINPROGRESS: how connecting without waiting begins.
const IN_PROGRESS: i32 = 115;

impl Engine {
    /// Opens connections until this worker has its share of `total`, `rate` per second.
    ///
    /// # Errors
    ///
    /// Fails when the server can not be reached or refuses a handshake.
    pub(super) fn connect_to(&mut self, total: usize, rate: f64) -> Result<Connected> {
        if self.config.validators > 0 && self.share.index == 0 && self.validators.is_none() {
            self.validators = Some(Validators::connect(&self.config)?);
        }
        let total = self.share.count(total);
        let start = now_ns();
        let already = self.clients.len();
        self.handshake.reset();
        let (mut left, mut progress_ns) = (self.clients.len(), start);
        while (self.clients.len() < total || self.under_way > 0) && !self.is_interrupted {
            let now = now_ns();
            let allowed = seconds(start, now) * rate;
            while self.clients.len() < total
                && self.under_way < UNDER_WAY_MAX
                && (self.clients.len() - already) as f64 <= allowed
            {
                self.clients.push(Client::new());
                self.connect(self.clients.len() - 1)?;
            }
            self.turn(now + nanos(Duration::from_millis(1)))?;
            // What has not even begun is no sign of life.
            let settled = self.clients.len() - self.under_way;
            if settled > left || self.under_way == 0 {
                (left, progress_ns) = (settled, now);
            } else if now.saturating_sub(progress_ns) > nanos(PATIENCE) {
                let (url, open) = (&self.config.url, self.open);
                let text = format!(
                    "{url} finished no handshake for {PATIENCE:?}, {open} of {total} are open; see the server's log"
                );
                return Err(Stop::Unreachable(text).into());
            }
        }
        Ok(Connected { opened: self.clients.len() - already, handshake: self.handshake.buckets() })
    }

    /// Begins one connection.
    pub(super) fn connect(&mut self, index: usize) -> Result<()> {
        let number = self.share.global(index);
        self.clients[index].end(State::Waiting);
        let mut begun = self.begin(index, number);
        for _ in 0..PORT_TRIES {
            let taken = [ErrorKind::AddrInUse, ErrorKind::AddrNotAvailable];
            let is_taken = begun.as_ref().is_err_and(|error| taken.contains(&error.kind()));
            if !is_taken || self.config.source_addresses == 1 {
                break;
            }
            begun = self.begin(index, number);
        }
        match begun {
            Ok(stream) => {
                self.clients[index].begin(stream, now_ns());
                self.under_way += 1;
                Ok(())
            }
            Err(error) => self.fail(index, self.unreachable(number, &error)),
        }
    }

    fn begin(&mut self, index: usize, number: usize) -> std::io::Result<Stream> {
        let address = self.config.url.address;
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if number >= self.config.connections() - self.config.stalled {
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
        self.poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        Stream::new(stream, self.tls.as_ref())
    }

    /// Gives a socket its own address and port. Left to itself the kernel would search all ports for one that nobody
    /// uses with any peer, for milliseconds once some ten thousand are taken.
    fn bind(&mut self, socket: &Socket, number: usize) -> std::io::Result<()> {
        // At most 254, as the command line checks.
        let last = u8::try_from(number % usize::from(self.config.source_addresses)).unwrap_or_default() + 1;
        let Share { index, of } = self.share;
        // Each worker walks through ports of its own, from one that an earlier run did not begin with.
        let offset = (self.config.seed % PORTS.len() as u64).saturating_add((self.binds * of + index) as u64);
        self.binds += 1;
        let port = PORTS.start + u16::try_from(offset % PORTS.len() as u64).unwrap_or_default();
        // A port that a former run left in TIME_WAIT may be used again.
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), port)).into())
    }

    /// Ends an attempt: with the run, unless this scenario goes on without.
    fn fail(&mut self, index: usize, stop: Stop) -> Result<()> {
        match self.clients[index].state {
            State::Waiting | State::Closed => {}
            // It was connected, and is refused what it asks for.
            State::Open | State::Stalled => self.open -= 1,
            State::Connecting | State::Shaking(_) | State::Greeting(_) => self.under_way -= 1,
        }
        self.clients[index].end(State::Waiting);
        if self.retries.is_on() {
            self.note_refusal(&stop);
            self.retry_later(index);
            return Ok(());
        }
        Err(stop.into())
    }

    /// Ends an attempt that the server answered with a no.
    pub(super) fn refuse(&mut self, index: usize, why: String) -> Result<()> {
        let (url, open, number) = (&self.config.url, self.open, self.share.global(index));
        let stop = if self.retries.is_on() {
            Stop::Refused(why)
        } else {
            Stop::Refused(format!("{url} refused connection {number}: {why}; {open} are open"))
        };
        self.fail(index, stop)
    }

    /// Ends an attempt that nobody answered in time.
    pub(super) fn give_up(&mut self, index: usize) -> Result<()> {
        self.fail(index, Stop::Unreachable(format!("no end of the handshake within {PATIENCE:?}")))
    }

    /// Sends the request once the TCP handshake is over.
    pub(super) fn connected(&mut self, index: usize) -> Result<()> {
        let number = self.share.global(index);
        let stream = self.clients[index].stream.as_ref().context("a connecting client has a socket")?;
        if let Err(error) = stream.socket().take_error().and_then(|error| error.map_or(Ok(()), Err)) {
            return self.fail(index, self.unreachable(number, &error));
        }
        if stream.socket().peer_addr().is_err() {
            return Ok(());
        }
        let url = &self.config.url;
        // One channel per connection, where the address names it.
        let channel = self.tally.audience.channels(number).swap_remove(0);
        let request = request(&url.host, &url.path.replace(CHANNEL, &channel));
        let client = &mut self.clients[index];
        client.queue_raw(request.as_bytes());
        client.flush();
        client.shrink();
        client.state = State::Shaking(Vec::new());
        Ok(())
    }

    /// Reads the answer to the handshake, and whatever came right behind it.
    pub(super) fn shake(&mut self, index: usize, is_closing: bool) -> Result<()> {
        let number = self.share.global(index);
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
                Err(error) => return self.fail(index, self.unreachable(number, &error)),
            }
            // The rest belongs to the reader.
            if judge(answer) != Answer::Unfinished {
                break;
            }
        }
        match judge(answer) {
            Answer::Unfinished if is_closing && answer.is_empty() => {
                return self.refuse(index, "closed without an answer to the handshake".to_owned());
            }
            Answer::Unfinished if is_closing => {
                return self.refuse(index, "closed in the middle of the handshake's answer".to_owned());
            }
            Answer::Unfinished => return Ok(()),
            Answer::Refused(why) => return self.refuse(index, why),
            Answer::Foreign(why) => return Err(Stop::Protocol(format!("{}: {why}", self.config.url)).into()),
            Answer::Agreed(end) => {
                let early = answer.split_off(end);
                self.agreed(index, number)?;
                self.take_early(index, &early)?;
            }
        }
        self.read(index, is_closing)
    }

    /// Says the first words of the server's own protocol, if it has any.
    fn agreed(&mut self, index: usize, number: usize) -> Result<()> {
        let channels = self.tally.audience.channels(number);
        let answers = self.config.face.answers(channels.len());
        // While messages flow nobody can say which is going to be a newcomer's first.
        self.tally.open(index, self.is_quiet.then_some(&self.sent[..]));
        let client = &mut self.clients[index];
        client.state = State::Greeting(u16::try_from(answers).unwrap_or(u16::MAX));
        if let Some(hello) = self.config.face.hello(&channels) {
            client.say(&hello);
        }
        if answers == 0 { self.open(index) } else { Ok(()) }
    }

    /// Takes one of the answers that the first words were to bring.
    pub(super) fn greeted(&mut self, index: usize) -> Result<()> {
        if let State::Greeting(left) = &mut self.clients[index].state {
            *left = left.saturating_sub(1);
            if *left == 0 {
                return self.open(index);
            }
        }
        Ok(())
    }

    /// Counts a client as connected.
    fn open(&mut self, index: usize) -> Result<()> {
        let client = &mut self.clients[index];
        client.state = State::Open;
        self.handshake.record(now_ns().saturating_sub(client.begun_ns));
        self.under_way -= 1;
        self.open += 1;
        self.returned();
        Ok(())
    }

    /// Says what went wrong and what to do; only what went wrong, where refusals are counted by their reasons.
    fn unreachable(&self, number: usize, error: &std::io::Error) -> Stop {
        let text = |advice| {
            if self.retries.is_on() {
                return error.to_string();
            }
            format!("connection {number} to {} failed: {error}; {advice}", self.config.url)
        };
        match error.kind() {
            ErrorKind::ConnectionRefused => Stop::Unreachable(text("is the server running there?")),
            ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse => {
                Stop::Limits(text("out of ports: raise --source-addresses"))
            }
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                Stop::Refused(text("the server let go of it; see its log"))
            }
            _ if matches!(error.raw_os_error(), Some(23 | 24)) => {
                Stop::Limits(text("out of descriptors: raise the limit or --processes"))
            }
            _ => Stop::Unreachable(text("see the server's log")),
        }
    }
}
