//! `publish_stream`: publications line by line, each with a line of answer, for as long as the client sends.
//!
//! The answers are produced while their connection takes them, and the request is read for as long as publications find
//! room: a client that sends faster, or does not read, is slowed down, and nothing is dropped. One task does all of it,
//! so there is no queue in between.

use super::call::Call;
use super::error::{ApiError, ErrorKind};
use super::json::{self, Answer};
use super::method::Method;
use super::publish;
use crate::http::progress::Progress;
use crate::http::response::ResponseBody;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tokio::task::coop::consume_budget;

/// Answers that are sent together, in bytes: about one segment each would cost more than the publications.
const ANSWERS_BYTES: usize = 16 * 1024;

/// What a stream needs of its request.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) state: Arc<crate::operation::state::State>,
    pub(super) scopes: crate::operation::api_key::Scopes,
    pub(super) body: Incoming,
    pub(super) progress: Arc<Progress>,
}

/// Returns the body of the answer, which publishes while it is sent.
pub(super) fn respond(stream: Stream) -> ResponseBody {
    let progress = Arc::clone(&stream.progress);
    let (answers, received) = mpsc::channel(1);
    let work = Box::pin(work(stream, answers));
    ResponseBody::stream(Answers { work: Some(work), received, progress })
}

/// The answers of a stream.
struct Answers {
    /// `None` once the request has ended.
    work: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    received: mpsc::Receiver<Bytes>,
    progress: Arc<Progress>,
}

impl Body for Answers {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        // The work first: it fills the channel that is read below.
        if let Some(work) = &mut self.work
            && work.as_mut().poll(cx).is_ready()
        {
            self.work = None;
        }
        self.received.poll_recv(cx).map(|answers| answers.map(|answers| Ok(Frame::data(answers))))
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.progress.end_response();
    }
}

/// Publishes line by line until the request ends. The answers so far are sent before the next bytes are waited for.
async fn work(stream: Stream, answers: mpsc::Sender<Bytes>) {
    let Stream { state, scopes, mut body, progress } = stream;
    let call = Call { state: &state, scopes, deadline: None, is_of_peer: false };
    let (mut lines, mut out) = (Lines::default(), Vec::new());
    loop {
        let frame = body.frame().await;
        let is_over = frame.is_none();
        match frame {
            // The client has gone, or broke the rules of HTTP: nobody reads an answer.
            Some(Err(_)) => return,
            Some(Ok(frame)) => lines.extend(&frame.into_data().unwrap_or_default()),
            None => lines.end(),
        }
        let bytes_max = state.settings.load().api.api_body_bytes_max;
        while let Some(line) = lines.next(bytes_max) {
            let done = match line {
                Ok(line) => publish_line(&call, &line).await,
                Err(error) => Err(error),
            };
            call.count(Method::PublishStream, done.as_ref().err());
            json::write(&mut out, &Answer::from(done));
            out.push(b'\n');
            if out.len() >= ANSWERS_BYTES && answers.send(std::mem::take(&mut out).into()).await.is_err() {
                return;
            }
            consume_budget().await;
        }
        if !out.is_empty() && answers.send(std::mem::take(&mut out).into()).await.is_err() {
            return;
        }
        if is_over {
            progress.note_body_read();
            return;
        }
    }
}

async fn publish_line(call: &Call<'_>, line: &[u8]) -> Result<publish::PublishResult, ApiError> {
    publish::publish(call, &json::read(line)?).await
}

/// Bytes that become lines.
#[derive(Debug, Default)]
struct Lines {
    buffer: BytesMut,
    /// How much of the buffer has no newline.
    searched: usize,
    /// Bytes of a line that is too long and of which the rest is skipped.
    skipped: usize,
    is_over: bool,
}

impl Lines {
    fn extend(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Notes that no more bytes come: what is left is a line too.
    fn end(&mut self) {
        self.is_over = true;
    }

    /// Returns the next line that is not blank, without its newline; an error for one of more than `bytes_max` bytes.
    fn next(&mut self, bytes_max: usize) -> Option<Result<Bytes, ApiError>> {
        loop {
            let found =
                self.buffer[self.searched..].iter().position(|byte| *byte == b'\n').map(|at| self.searched + at);
            let line = match found {
                Some(at) => {
                    let mut line = self.buffer.split_to(at + 1);
                    line.truncate(at);
                    line
                }
                None if self.is_over && !(self.buffer.is_empty() && self.skipped == 0) => self.buffer.split(),
                None => {
                    self.hold(bytes_max);
                    return None;
                }
            };
            self.searched = 0;
            let bytes = std::mem::take(&mut self.skipped) + line.len();
            if bytes > bytes_max {
                let text = format!("the line: {bytes} bytes; --api-body-bytes-max is {bytes_max}");
                return Some(Err(ApiError::new(ErrorKind::BodyTooLarge, text)));
            }
            if !line.trim_ascii().is_empty() {
                return Some(Ok(line.freeze()));
            }
        }
    }

    /// Keeps an unfinished line, or only its length if it is too long already.
    fn hold(&mut self, bytes_max: usize) {
        if self.skipped + self.buffer.len() > bytes_max {
            self.skipped += self.buffer.len();
            self.buffer.clear();
        }
        self.searched = self.buffer.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn read(chunks: &[&[u8]], bytes_max: usize) -> Vec<Result<Vec<u8>, ()>> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        let mut take = |lines: &mut Lines| {
            while let Some(line) = lines.next(bytes_max) {
                found.push(line.map(|line| line.to_vec()).map_err(|_| ()));
            }
            assert!(lines.buffer.len() <= bytes_max, "what is kept is bounded");
        };
        for chunk in chunks {
            lines.extend(chunk);
            take(&mut lines);
        }
        lines.end();
        take(&mut lines);
        found
    }

    #[test]
    fn lines_are_cut_at_newlines_and_blank_ones_are_none() {
        let lines = read(&[b"a\nb", b"c\n\n \r\n", b"d"], 9);
        assert_eq!(lines, [Ok(b"a".to_vec()), Ok(b"bc".to_vec()), Ok(b"d".to_vec())]);
    }

    /// A line at the limit is one, and one past it is an error in its place.
    #[test]
    fn line_over_the_limit_is_an_error_and_the_next_one_is_read() {
        let lines = read(&[b"1234\n12345\n", b"123", b"456", b"789\n1\n", b"99999"], 4);
        assert_eq!(lines, [Ok(b"1234".to_vec()), Err(()), Err(()), Ok(b"1".to_vec()), Err(())]);
    }

    proptest! {
        /// How the bytes arrive makes no difference.
        #[test]
        fn chunks_do_not_matter(text in "[ab\n]{0,40}", cuts in vec(0usize..41, 0..6), max in 1usize..6) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).chain([0, text.len()]).collect();
            cuts.sort_unstable();
            let chunks: Vec<_> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
            prop_assert_eq!(read(&chunks, max), read(&[text.as_bytes()], max));
        }
    }
}
