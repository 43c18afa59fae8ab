//! A backend: publishes through the server's HTTP API, over connections of its own.
//!
//! A publication waits until its connection has an answer to the request before; then all that wait leave together, as
//! many as a batch may have. What the server has no room for is sent again after the pause that it asks for, so a
//! publication is late then and not lost.

use super::api_connection::{ApiConnection, News, State};
use super::messages::ApiUse;
use super::refusals::Refusals;
use super::stream::Stream;
use super::tally::Tally;
use super::tls::Tls;
use crate::clock::{nanos, now_ns};
use crate::config::Api;
use crate::exit::RunError;
use crate::measure::histogram::Histogram;
use crate::wire::api::{Body, Outcome, RETRY_AFTER, outcome, refusal};
use crate::wire::http::{Response, post};
use crate::wire::record::Record;
use anyhow::Result;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use std::io;
use std::time::Duration;

/// The token of the first connection; clients have their index.
const FIRST_TOKEN: usize = 1 << 48;

/// Publications that may wait for a connection; then the source falls behind its clock, which shows as latency.
const WAITING_MAX: usize = 4096;

/// Everything that belongs to publishing through the API.
#[derive(Debug)]
pub(super) struct Backend {
    api: Api,
    /// The headers of all requests.
    headers: String,
    registry: Registry,
    tls: Option<Tls>,
    connections: Vec<ApiConnection>,
    /// Whether the server has taken the key.
    is_known: bool,
    /// Answers, and publications that they accepted, since the window opened.
    answers: u64,
    accepted: u64,
    /// From the request to its answer.
    answer_time: Histogram,
    /// How much later than due the publications were sent; one that is sent again counts again.
    pub(super) lateness: Histogram,
    pub(super) refusals: Refusals,
    /// Publications that the server had not accepted when their load was given up.
    pub(super) unaccepted: u64,
}

impl Backend {
    /// Returns a backend whose sockets are registered with `registry`.
    ///
    /// # Errors
    ///
    /// Fails when the host is no name that TLS could verify.
    pub(super) fn new(api: Api, registry: Registry) -> Result<Self> {
        let headers = api.key.as_ref().map_or_else(String::new, |key| format!("X-API-Key: {key}\r\n"));
        let connections = (0..api.connections).map(|_| ApiConnection::new()).collect();
        Ok(Self {
            tls: Tls::of(&api.url)?,
            api,
            headers,
            registry,
            connections,
            is_known: false,
            answers: 0,
            accepted: 0,
            answer_time: Histogram::new(),
            lateness: Histogram::new(),
            refusals: Refusals::default(),
            unaccepted: 0,
        })
    }

    /// Whether a token is that of a connection to the API.
    pub(super) const fn owns(token: usize) -> bool {
        token >= FIRST_TOKEN && token < 2 * FIRST_TOKEN
    }

    /// Connects, and sends a request without a channel, whose answer tells a wrong key or address before any load.
    ///
    /// # Errors
    ///
    /// Fails when no socket can be made.
    pub(super) fn introduce(&mut self) -> Result<()> {
        if !self.is_known {
            (0..self.connections.len()).try_for_each(|number| self.ask(number, 0, "publish", b"{}"))?;
            self.is_known = true;
        }
        Ok(())
    }

    /// Whether every publication is accepted, and no answer is due.
    pub(super) fn is_idle(&self) -> bool {
        let is_idle = |connection: &ApiConnection| connection.state == State::Free && connection.waiting.is_empty();
        self.connections.iter().all(is_idle)
    }

    /// Whether a publisher has to wait.
    pub(super) fn is_full(&self, publisher: usize) -> bool {
        self.connections[publisher % self.connections.len()].waiting.len() >= WAITING_MAX.max(self.api.batch)
    }

    /// Queues a publication.
    pub(super) fn queue(&mut self, record: Record) {
        let number = usize::from(record.publisher) % self.connections.len();
        self.connections[number].waiting.push_back(record);
    }

    /// Returns when the next pause ends; `u64::MAX` if no connection pauses.
    pub(super) fn due_ns(&self) -> u64 {
        let pauses = self.connections.iter().filter_map(|connection| match connection.state {
            State::Pausing { until_ns } => Some(until_ns),
            _ => None,
        });
        pauses.min().unwrap_or(u64::MAX)
    }

    /// Sends what waits, over every connection that is free.
    ///
    /// # Errors
    ///
    /// Fails when no socket can be made.
    pub(super) fn send_waiting(&mut self, tally: &Tally) -> Result<()> {
        (0..self.connections.len()).try_for_each(|number| self.send(number, tally))
    }

    fn send(&mut self, number: usize, tally: &Tally) -> Result<()> {
        let connection = &mut self.connections[number];
        let now = now_ns();
        if matches!(connection.state, State::Pausing { until_ns } if until_ns <= now) {
            connection.state = State::Free;
        }
        let len = connection.waiting.len().min(self.api.batch);
        if connection.state != State::Free || len == 0 {
            return Ok(());
        }
        let mut body = Body::new(self.api.batch > 1);
        for record in connection.waiting.iter().take(len) {
            let channel = tally.audience.channel(usize::from(record.publisher));
            body.add(&channel, |out| tally.format.encode(*record, out));
            if record.intended_ns >= tally.timed_from_ns {
                self.lateness.record(now.saturating_sub(record.intended_ns));
            }
        }
        let method = body.method();
        self.ask(number, len, method, &body.finish())
    }

    /// Sends a request, over a new socket if there is none.
    fn ask(&mut self, number: usize, len: usize, method: &str, body: &[u8]) -> Result<()> {
        if !self.connections[number].is_connected() {
            let stream = self.dial(number).map_err(|error| self.unreachable(&error))?;
            self.connections[number].connect(stream);
        }
        let path = format!("{}/{method}", self.api.url.path.trim_end_matches('/'));
        let write = |out: &mut Vec<u8>| post(&self.api.url.host, &path, &self.headers, body, out);
        self.connections[number].ask(now_ns(), len, write);
        Ok(())
    }

    fn dial(&self, number: usize) -> io::Result<Stream> {
        let mut socket = TcpStream::connect(self.api.url.address)?;
        socket.set_nodelay(true)?;
        self.registry.register(&mut socket, Token(FIRST_TOKEN + number), Interest::READABLE | Interest::WRITABLE)?;
        Stream::new(socket, self.tls.as_ref())
    }

    /// Handles an event of the connection with `token`, and sends what waits for it.
    ///
    /// # Errors
    ///
    /// Fails when the server cannot be reached, refuses a publication, or closes without an answer.
    pub(super) fn handle(&mut self, token: usize, tally: &Tally) -> Result<()> {
        let number = token - FIRST_TOKEN;
        let Some(connection) = self.connections.get_mut(number) else { return Ok(()) };
        let checked = connection.check();
        connection.flush();
        let news = checked.and_then(|()| connection.read()).map_err(|error| self.unreachable(&error))?;
        match news.map_err(|why| RunError::Protocol(format!("{} {why}", self.api.url)))? {
            News::Nothing => return Ok(()),
            News::Answer(response) => self.answered(number, &response)?,
            News::Closed => self.closed(number)?,
        }
        self.send(number, tally)
    }

    fn answered(&mut self, number: usize, response: &Response) -> Result<()> {
        let State::Asking { since_ns, len } = self.connections[number].state else {
            return Err(RunError::Protocol(format!("{} answered without a request", self.api.url)).into());
        };
        let now = now_ns();
        self.connections[number].state = State::Free;
        if len == 0 {
            return refusal(response).map_or(Ok(()), |why| Err(self.refused(&why)));
        }
        self.answers += 1;
        self.answer_time.record(now.saturating_sub(since_ns));
        match outcome(response, len) {
            Outcome::Answered(accepted) => {
                self.accepted += accepted.iter().filter(|is_accepted| **is_accepted).count() as u64;
                self.connections[number].settle(&accepted);
                if accepted.contains(&false) {
                    self.pause(number, RETRY_AFTER, "no room for a publication of a batch");
                }
            }
            Outcome::Later(pause) => self.pause(number, pause, &format!("{:?}", response.status_line)),
            Outcome::Refused(why) => return Err(self.refused(&why)),
        }
        Ok(())
    }

    /// Waits as the server asks, and counts that it did.
    fn pause(&mut self, number: usize, pause: Duration, why: &str) {
        self.connections[number].state = State::Pausing { until_ns: now_ns() + nanos(pause) };
        self.refusals.add(&RunError::Refused(format!("the API answered {why}; sent again {pause:?} later")));
    }

    /// Notes that the server closed a connection. Between two requests it may: the next one opens another.
    fn closed(&self, number: usize) -> Result<()> {
        if let State::Asking { len, .. } = self.connections[number].state {
            if len == 0 {
                return Err(self.refused("closed the first connection without an answer"));
            }
            let text = format!(
                "{} closed a connection without an answer; it is unknown whether {len} messages were published",
                self.api.url
            );
            return Err(RunError::Gone(text).into());
        }
        Ok(())
    }

    fn refused(&self, why: &str) -> anyhow::Error {
        let advice = if self.api.key.is_none() {
            "; give it a key with --api-key or LOADTEST_API_KEY"
        } else if why.contains("\"404") {
            "; the API is elsewhere: see --api-url"
        } else {
            ""
        };
        RunError::Refused(format!("{} {why}{advice}", self.api.url)).into()
    }

    fn unreachable(&self, error: &io::Error) -> RunError {
        let is_nobody = error.kind() == io::ErrorKind::ConnectionRefused;
        let advice = if is_nobody { "is the API there? See --api-url" } else { "see the server's log" };
        RunError::Unreachable(format!("a connection to {} failed: {error}; {advice}", self.api.url))
    }

    /// Begins the figures of a window anew.
    pub(super) fn reset(&mut self) {
        (self.answers, self.accepted) = (0, 0);
        self.answer_time.reset();
        self.lateness.reset();
    }

    /// Returns the figures since the last reset.
    pub(super) fn figures(&self) -> ApiUse {
        ApiUse { answers: self.answers, accepted: self.accepted, answer_time: self.answer_time.buckets() }
    }

    /// Gives up what the server has not accepted and is not asked to now, and returns how many those are by publisher.
    pub(super) fn give_up(&mut self, publishers: usize) -> Vec<u32> {
        let mut given_up = vec![0; publishers];
        for connection in &mut self.connections {
            let asked = if let State::Asking { len, .. } = connection.state { len } else { 0 };
            for record in connection.waiting.drain(asked..) {
                given_up[usize::from(record.publisher)] += 1;
                self.unaccepted += 1;
            }
            if matches!(connection.state, State::Pausing { .. }) {
                connection.state = State::Free;
            }
        }
        given_up
    }
}
