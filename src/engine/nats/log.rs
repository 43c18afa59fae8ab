//! Reading a log: what a partition's stream has stored, from any server that has a copy, or from its leader.

use super::envelope::{self, Entry};
use super::link::{Link, Message, RequestError};
use super::sequence;
use super::stream::{self, StreamError, StreamState};
use super::subject;
use crate::protocol::{ChannelName, Publication};
use bytes::Bytes;
use std::time::Duration;
use tokio::time::timeout;

/// Most messages of one request: the servers send that many without a pause.
pub const BATCH_MAX: u64 = 1000;

/// Time for the next message of an answer.
const NEXT_TIMEOUT: Duration = Duration::from_secs(2);

/// Status that ends an answer.
const END: u16 = 204;

/// Status of an answer without a message.
const NOT_FOUND: u16 = 404;

/// An entry of a log.
#[derive(Clone, Debug)]
pub struct LogMessage {
    /// Its channel; `None` for what belongs to none.
    pub channel: Option<ChannelName>,
    /// The last part of its subject, by which the log counts.
    token: Box<str>,
    /// What it says.
    pub entry: Entry,
}

impl sequence::Message for LogMessage {
    fn channel(&self) -> &str {
        &self.token
    }

    fn bytes(&self) -> usize {
        let payload = match &self.entry {
            Entry::Publication { payload, .. } => {
                payload.len() + payload.details.as_ref().map_or(0, |details| details.bytes())
            }
            Entry::HistoryRemoved | Entry::Other => 0,
        };
        size_of::<Self>() + self.token.len() + payload
    }
}

impl LogMessage {
    /// Returns whether it is a pin.
    pub fn is_pin(&self) -> bool {
        subject::is_pin(&self.token)
    }

    /// Returns the publication with its number, if it is one.
    pub fn publication(self, offset: u64) -> Option<Publication> {
        match self.entry {
            Entry::Publication { at, payload } => Some(Publication { offset, at, payload }),
            Entry::HistoryRemoved | Entry::Other => None,
        }
    }

    fn new(subject: &str, payload: Bytes) -> Self {
        let token = subject.rsplit_once('.').map_or(subject, |(_, token)| token);
        Self { channel: subject::channel(subject), token: token.into(), entry: envelope::read(payload) }
    }
}

/// Reads what was announced: its number, and what it says.
pub fn announced(message: &Message) -> Option<(u64, LogMessage)> {
    let number = number(message, "Nats-Sequence")?;
    Some((number, LogMessage::new(message.subject(), message.payload().clone())))
}

/// Reads the number of what was announced, and when it was stored.
fn mark(message: &Message) -> Option<Mark> {
    let stored_at = stream::nanos(message.header("Nats-Time-Stamp")?);
    Some(Mark { number: number(message, "Nats-Sequence")?, stored_at })
}

/// A message that a log has, or had. A log that has one with a lower number, or this, which is younger is another one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mark {
    /// Its number.
    pub number: u64,
    /// When it was stored, in nanoseconds since 1970.
    pub stored_at: u64,
}

impl Mark {
    /// Returns the oldest message of a log; `None` if it is empty.
    pub fn oldest(state: StreamState) -> Option<Self> {
        (state.messages > 0).then_some(Self { number: state.first_seq, stored_at: state.first_ts })
    }

    /// Returns whether a log that begins and ends like this is not the one that this message is of. One that only ends
    /// before the message may be: as a server knows it that is behind.
    pub fn contradicts(self, state: StreamState) -> bool {
        let newest = Self { number: state.last_seq, stored_at: state.last_ts };
        let is_other = |other: Self| other.number <= self.number && other.stored_at > self.stored_at;
        Self::oldest(state).is_some_and(|oldest| is_other(oldest) || is_other(newest))
    }
}

/// What tells a log from another one under its name.
#[derive(Debug, Default)]
pub struct Marks {
    oldest: Option<Mark>,
    /// The newest that was announced, as it came: its time is needed only where something seems wrong.
    announced: Option<(u64, Message)>,
    /// The newest that was fetched.
    fetched: Option<Mark>,
}

impl Marks {
    /// Returns those of a log that begins to be followed.
    pub fn of(state: StreamState) -> Self {
        Self { oldest: Mark::oldest(state), ..Self::default() }
    }

    /// Returns the oldest message.
    pub fn oldest(&self) -> Option<Mark> {
        self.oldest
    }

    /// Notes what was announced.
    pub fn announce(&mut self, number: u64, message: Message) {
        if self.announced.as_ref().is_none_or(|(newest, _)| *newest < number) {
            self.announced = Some((number, message));
        }
    }

    /// Notes what was fetched.
    pub fn fetch(&mut self, newest: Option<Mark>) {
        self.fetched = newest.or(self.fetched);
    }

    /// Notes how the same log begins now.
    pub fn renew(&mut self, state: StreamState) {
        self.oldest = Mark::oldest(state).or(self.oldest);
    }

    /// Returns whether this number, or a later one, was announced or fetched.
    pub fn reach(&self, number: u64) -> bool {
        let announced = self.announced.as_ref().map_or(0, |(announced, _)| *announced);
        announced.max(self.fetched.map_or(0, |fetched| fetched.number)) >= number
    }

    /// Returns whether a log that begins and ends like this is another one.
    pub fn contradict(&self, state: StreamState) -> bool {
        let announced = self.announced.as_ref().and_then(|(_, message)| mark(message));
        [self.oldest, announced, self.fetched].into_iter().flatten().any(|mark| mark.contradicts(state))
    }
}

/// Reads messages from a number on, at most so many; all subjects, or one. Returns them, and what the newest of them
/// tells of the log. The server that answers may lag behind.
///
/// # Errors
///
/// [`RequestError`] if there is no answer, or it breaks off.
///
/// # Cancel safety
///
/// Cancel safe.
pub async fn fetch(
    link: &Link,
    stream: &str,
    from: u64,
    batch: u64,
    only: Option<&str>,
) -> Result<(Vec<(u64, LogMessage)>, Option<Mark>), RequestError> {
    let inbox = link.new_inbox();
    let mut answers = link.subscribe(inbox.clone()).await?;
    let mut body = serde_json::json!({ "seq": from, "batch": batch });
    if let Some(subject) = only {
        body["next_by_subj"] = subject.into();
    }
    link.publish_with_reply(format!("$JS.API.DIRECT.GET.{stream}"), inbox, body.to_string().into()).await?;
    let (mut messages, mut last, mut newest) = (Vec::new(), 0, None);
    loop {
        let answer = timeout(NEXT_TIMEOUT, answers.next()).await.map_err(|_| RequestError::Timeout)?;
        let answer = answer.ok_or(RequestError::Closed)?;
        // One that is lost on the way would look like one that the log has dropped.
        let follows = || number(&answer, "Nats-Last-Sequence") == Some(last);
        match answer.status() {
            Some(END) if follows() => return Ok((messages, newest.as_ref().and_then(mark))),
            Some(NOT_FOUND) if last == 0 => return Ok((messages, None)),
            None if follows() => {
                let (number, message) = stored(&answer).ok_or(RequestError::Timeout)?;
                last = number;
                messages.push((number, message));
                newest = Some(answer);
            }
            None | Some(END | NOT_FOUND) => return Err(RequestError::Timeout),
            Some(_) => return Err(RequestError::NoResponders),
        }
    }
}

fn number(message: &Message, header: &str) -> Option<u64> {
    message.header(header)?.parse().ok()
}

fn stored(message: &Message) -> Option<(u64, LogMessage)> {
    let number = number(message, "Nats-Sequence")?;
    Some((number, LogMessage::new(message.header("Nats-Subject")?, message.payload().clone())))
}

/// Returns what the log holds, as its leader knows it.
///
/// # Errors
///
/// [`StreamError`] says why it is not known.
///
/// # Cancel safety
///
/// Cancel safe.
pub async fn state(link: &Link, stream: &str) -> Result<(stream::StreamConfig, StreamState), StreamError> {
    stream::info(link, stream).await.map(|info| (info.config, info.state))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log in memory is empty when all servers were down at once: it has the same settings, and its numbers begin
    /// anew.
    #[test]
    fn log_that_has_begun_anew_is_known_by_its_oldest_message() {
        let state = |messages, first_seq, first_ts| {
            let (last_seq, last_ts) = (first_seq + 10, first_ts + 1);
            StreamState { messages, first_seq, first_ts, last_seq, last_ts, ..Default::default() }
        };
        let mark = Mark { number: 5, stored_at: 100 };
        for (state, is_other) in [
            (state(9, 5, 100), false),
            (state(9, 1, 50), false),
            (state(9, 8, 150), false),
            (state(0, 1, 0), false),
            (state(9, 5, 101), true),
            (state(9, 1, 150), true),
        ] {
            assert_eq!(mark.contradicts(state), is_other, "{state:?}");
        }
    }

    /// The leader that is cut off from the others is still asked, but it stores nothing that would be younger.
    #[test]
    fn log_that_ends_before_what_was_delivered_is_another_one_only_if_it_goes_on() {
        let mark = Mark { number: 50, stored_at: 100 };
        for (last_seq, last_ts, is_other) in [(40, 90, false), (40, 100, false), (41, 101, true), (60, 130, false)] {
            let state =
                StreamState { messages: 9, first_seq: 1, first_ts: 10, last_seq, last_ts, ..Default::default() };
            assert_eq!(mark.contradicts(state), is_other, "{state:?}");
        }
    }
}
