//! A connection to the API: one request at a time, kept alive, and the publications that wait for it.

use super::stream::Stream;
use crate::wire::http::{HttpError, Response, take_response};
use crate::wire::record::Record;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};

/// Bytes read at a time; an answer to one publication has some 200.
const READ_BYTES: usize = 64 << 10;

/// Where a connection is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    /// It may send a request.
    Free,
    /// A request was sent at this time; of the waiting publications, so many are in it. None are in the first one,
    /// which asks whether the key is right.
    Asking { since_ns: u64, len: usize },
    /// The server asked to wait until then.
    Pausing { until_ns: u64 },
}

/// What a read brought.
#[derive(Debug)]
pub(super) enum News {
    Nothing,
    Answer(Response),
    /// The server closed the connection.
    Closed,
}

/// One connection.
#[derive(Debug)]
pub(super) struct ApiConnection {
    /// Absent until a request is to be sent.
    stream: Option<Stream>,
    /// Whether the first event of the socket is still to come: writing before it would swallow why it failed.
    is_new: bool,
    pub(super) state: State,
    /// Publications that are not accepted yet, oldest first.
    pub(super) waiting: VecDeque<Record>,
    /// Bytes that the kernel did not take yet.
    out: Vec<u8>,
    answer: Vec<u8>,
}

impl ApiConnection {
    /// Returns a connection without a socket.
    pub(super) fn new() -> Self {
        let (out, answer) = (Vec::new(), Vec::new());
        Self { stream: None, is_new: false, state: State::Free, waiting: VecDeque::new(), out, answer }
    }

    pub(super) const fn is_connected(&self) -> bool {
        self.stream.is_some()
    }

    /// Takes the error of the last attempt to connect, if it failed.
    ///
    /// # Errors
    ///
    /// That error.
    pub(super) fn check(&mut self) -> io::Result<()> {
        self.is_new = false;
        let error = self.stream.as_ref().map_or(Ok(None), |stream| stream.socket().take_error())?;
        match error {
            Some(error) if error.kind() != ErrorKind::ConnectionReset => Err(error),
            _ => Ok(()),
        }
    }

    /// Gives it a socket whose TCP handshake has begun.
    pub(super) fn connect(&mut self, stream: Stream) {
        self.stream = Some(stream);
        self.is_new = true;
        self.out.clear();
        self.answer.clear();
    }

    /// Sends a request, which `write` appends, with the first `len` waiting publications.
    pub(super) fn ask(&mut self, since_ns: u64, len: usize, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.out);
        self.state = State::Asking { since_ns, len };
        if !self.is_new {
            self.flush();
        }
    }

    /// Removes the publications of the last request that were accepted.
    pub(super) fn settle(&mut self, accepted: &[bool]) {
        let after = self.waiting.split_off(accepted.len());
        let mut accepted = accepted.iter();
        self.waiting.retain(|_| accepted.next() == Some(&false));
        self.waiting.extend(after);
    }

    /// Writes what the kernel takes.
    pub(super) fn flush(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.write_from(&mut self.out);
        }
    }

    /// Reads what has come.
    ///
    /// # Errors
    ///
    /// Fails when the connection could not be made, and when the bytes are no answer.
    pub(super) fn read(&mut self) -> io::Result<Result<News, HttpError>> {
        let mut buffer = [0; READ_BYTES];
        while let Some(stream) = &mut self.stream {
            match stream.read(&mut buffer) {
                Ok(0) => {
                    self.stream = None;
                    return Ok(Ok(News::Closed));
                }
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                    self.stream = None;
                    return Ok(Ok(News::Closed));
                }
                Ok(len) => self.answer.extend_from_slice(&buffer[..len]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => break,
                Err(error) => return Err(error),
            }
            // An answer that is whole is handled before the end of the connection that follows it.
            if let Some(news) = self.take() {
                return Ok(news);
            }
        }
        Ok(Ok(News::Nothing))
    }

    fn take(&mut self) -> Option<Result<News, HttpError>> {
        match take_response(&mut self.answer) {
            Ok(None) => None,
            Ok(Some(response)) => {
                if response.is_last {
                    self.stream = None;
                }
                Some(Ok(News::Answer(response)))
            }
            Err(error) => Some(Err(error)),
        }
    }
}
