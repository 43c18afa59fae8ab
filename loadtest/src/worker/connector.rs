//! A connector: sees each client through its handshake and the greeting of the server's protocol.
//!
//! A refusal ends the run, except in scenarios that go on without the client: there it is counted and the client tries
//! again, see [`Retries`].

use super::client::{Client, HANDSHAKE_TIMEOUT, State};
use super::dialer::Dialer;
use super::pool::Pool;
use super::refusals::Refusals;
use super::retries::Retries;
use super::share::Share;
use crate::audience::Audience;
use crate::clock::{nanos, now_ns};
use crate::config::Config;
use crate::exit::RunError;
use crate::measure::histogram::Histogram;
use crate::wire::handshake::{Answer, judge, request};
use crate::wire::protocol::CHANNEL;
use anyhow::{Context, Result};
use mio::Registry;
use std::io::{self, ErrorKind, Read};
use std::sync::Arc;

/// EMFILE and ENFILE: this process, or the machine, has no descriptor left.
const NO_DESCRIPTOR: [i32; 2] = [24, 23];

/// Everything that belongs to attempts to connect.
#[derive(Debug)]
pub(super) struct Connector {
    config: Arc<Config>,
    share: Share,
    dialer: Dialer,
    /// From the first SYN to the end of the handshake.
    pub(super) handshake: Histogram,
    pub(super) retries: Retries,
    pub(super) refusals: Refusals,
}

impl Connector {
    /// Returns a connector whose sockets are registered with `registry`.
    ///
    /// # Errors
    ///
    /// Fails when the target's host is no name that TLS could verify.
    pub(super) fn new(config: Arc<Config>, share: Share, registry: Registry) -> Result<Self> {
        let dialer = Dialer::new(Arc::clone(&config), share, registry)?;
        Ok(Self {
            config,
            share,
            dialer,
            handshake: Histogram::new(),
            retries: Retries::default(),
            refusals: Refusals::default(),
        })
    }

    /// Begins one connection.
    ///
    /// # Errors
    ///
    /// Fails when the system refuses, unless retries are on. So do all functions of this type.
    pub(super) fn connect(&mut self, pool: &mut Pool, index: usize) -> Result<()> {
        pool[index].end(State::Waiting);
        match self.dialer.dial(index) {
            Ok(stream) => {
                pool.begin(index, stream);
                Ok(())
            }
            Err(error) => self.fail(pool, index, self.unreachable(index, &error)),
        }
    }

    /// Begins the attempts that are due, and ends those that take too long.
    pub(super) fn connect_due(&mut self, pool: &mut Pool) -> Result<()> {
        if !self.retries.is_on() {
            return Ok(());
        }
        let now = now_ns();
        while let Some(index) = self.retries.take_due(now) {
            self.connect(pool, index)?;
        }
        if self.retries.take_search(now) {
            for index in 0..pool.len() {
                let client = &pool[index];
                if client.is_connecting() && now.saturating_sub(client.begun_ns) > nanos(HANDSHAKE_TIMEOUT) {
                    let text = format!("handshake not completed within {HANDSHAKE_TIMEOUT:?}");
                    self.fail(pool, index, RunError::Unreachable(text))?;
                }
            }
        }
        Ok(())
    }

    /// Sends the request once the TCP handshake is over; a client that names its `position` asks for what it missed.
    pub(super) fn connected(
        &mut self,
        pool: &mut Pool,
        index: usize,
        audience: &Audience,
        position: Option<String>,
    ) -> Result<()> {
        let stream = pool[index].stream.as_ref().context("a connecting client has a socket")?;
        if let Err(error) = stream.socket().take_error().and_then(|error| error.map_or(Ok(()), Err)) {
            return self.fail(pool, index, self.unreachable(index, &error));
        }
        // Without a peer the event was for something else, and another one follows.
        if stream.socket().peer_addr().is_err() {
            return Ok(());
        }
        let (url, server) = (&self.config.url, self.config.server(self.share.global(index)));
        // One channel per connection, where the address names it.
        let channel = audience.channels(self.share.global(index)).swap_remove(0);
        let mut path = url.path.replace(CHANNEL, &channel);
        if let Some(position) = position {
            path += &format!("{}since={position}", if path.contains('?') { '&' } else { '?' });
        }
        let request = request(&server.host, &path, self.config.protocol.subprotocol());
        let client = &mut pool[index];
        client.queue_raw(request.as_bytes());
        client.flush();
        client.shrink();
        client.state = State::Shaking(Vec::new());
        Ok(())
    }

    /// Reads the response to the handshake. Returns the bytes that came right after it, or nothing if the handshake is
    /// not over.
    pub(super) fn shake(&mut self, pool: &mut Pool, index: usize, is_closing: bool) -> Result<Option<Vec<u8>>> {
        let Client { stream: Some(stream), state: State::Shaking(answer), .. } = &mut pool[index] else {
            return Ok(None);
        };
        let subprotocol = self.config.protocol.subprotocol();
        let mut buffer = [0; 4096];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(len) => answer.extend_from_slice(&buffer[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.fail(pool, index, self.unreachable(index, &error))?;
                    return Ok(None);
                }
            }
            // The rest belongs to the reader.
            if judge(answer, subprotocol) != Answer::Unfinished {
                break;
            }
        }
        let why = match judge(answer, subprotocol) {
            Answer::Agreed(end) => return Ok(Some(answer.split_off(end))),
            Answer::Unfinished if !is_closing => return Ok(None),
            Answer::Unfinished if answer.is_empty() => "closed without an answer to the handshake".to_owned(),
            Answer::Unfinished => "closed in the middle of the handshake's answer".to_owned(),
            Answer::Refused(why) => why,
            Answer::Foreign(why) => return Err(RunError::Protocol(format!("{}: {why}", self.config.url)).into()),
        };
        self.refuse(pool, index, why)?;
        Ok(None)
    }

    /// Sends the first message of the server's own protocol, if it has one.
    pub(super) fn greet(&mut self, pool: &mut Pool, index: usize, channels: &[String]) {
        let answers = self.config.protocol.answers(channels.len());
        let client = &mut pool[index];
        client.state = State::Greeting(u16::try_from(answers).unwrap_or(u16::MAX));
        if let Some(hello) = self.config.protocol.hello(channels) {
            client.say(self.config.protocol.opcode(), &hello);
        }
        if answers == 0 {
            self.open(pool, index);
        }
    }

    /// Takes one of the answers to the first message.
    pub(super) fn greeted(&mut self, pool: &mut Pool, index: usize) {
        if let State::Greeting(left) = &mut pool[index].state {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.open(pool, index);
            }
        }
    }

    fn open(&mut self, pool: &mut Pool, index: usize) {
        let now = now_ns();
        self.handshake.record(now.saturating_sub(pool[index].begun_ns));
        self.retries.note_return(now);
        pool.opened(index);
    }

    /// Ends an attempt that the server refused.
    pub(super) fn refuse(&mut self, pool: &mut Pool, index: usize, why: String) -> Result<()> {
        let (url, open, number) = (&self.config.url, pool.open(), self.share.global(index));
        let error = if self.retries.is_on() {
            RunError::Refused(why)
        } else {
            RunError::Refused(format!("{url} refused connection {number}: {why}; {open} are open"))
        };
        self.fail(pool, index, error)
    }

    /// Ends an attempt, or a connection whose subscription is refused.
    fn fail(&mut self, pool: &mut Pool, index: usize, error: RunError) -> Result<()> {
        pool.reset(index);
        if !self.retries.is_on() {
            return Err(error.into());
        }
        self.refusals.add(&error);
        self.retries.schedule_retry(index);
        Ok(())
    }

    /// Returns what went wrong and what to do; only what went wrong where refusals are counted by their reasons.
    fn unreachable(&self, index: usize, error: &io::Error) -> RunError {
        let text = |advice| {
            if self.retries.is_on() {
                return error.to_string();
            }
            let (number, url) = (self.share.global(index), &self.config.url);
            format!("connection {number} to {url} failed: {error}; {advice}")
        };
        match error.kind() {
            ErrorKind::ConnectionRefused => RunError::Unreachable(text("is the server running there?")),
            ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse => {
                RunError::Limits(text("out of ports: raise --source-addresses"))
            }
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                RunError::Refused(text("the server closed it; see the server's log"))
            }
            _ if error.raw_os_error().is_some_and(|code| NO_DESCRIPTOR.contains(&code)) => {
                RunError::Limits(text("out of descriptors: raise the limit or --processes"))
            }
            _ => RunError::Unreachable(text("see the server's log")),
        }
    }
}
