//! Reading a log: what a partition's stream has stored, from any server that has a copy, or from its leader.

use super::envelope::{self, Entry};
use super::evidence::Newest;
use super::link::{Link, Message, RequestError};
use super::sequence;
use super::stream::{self, StreamError, StreamInfo, StreamState};
use super::subject;
use crate::hub::Logged;
use crate::protocol::{ChannelName, Epoch, Publication};
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
    /// When it was stored by the clock of the servers, in nanoseconds since 1970; `None` if just now.
    stored_at: Option<u64>,
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

    /// Returns the publication with its number, if it is one, as a hub keeps it whose clock says `now`.
    pub fn logged(self, offset: u64, clocks: Clocks, now: u64) -> Option<Logged> {
        let stored_at = self.stored_at.map_or(now, |stored_at| clocks.here(stored_at / 1000));
        match self.entry {
            Entry::Publication { at, payload } => {
                Some(Logged { publication: Publication { offset, at, payload }, stored_at })
            }
            Entry::HistoryRemoved | Entry::Other => None,
        }
    }

    /// Returns its mark, if it was fetched under this number.
    pub fn mark(&self, number: u64) -> Option<Mark> {
        self.stored_at.map(|stored_at| Mark { number, stored_at })
    }

    fn new(subject: &str, payload: Bytes, stored_at: Option<u64>) -> Self {
        let token = subject.rsplit_once('.').map_or(subject, |(_, token)| token);
        Self { channel: subject::channel(subject), token: token.into(), entry: envelope::read(payload), stored_at }
    }
}

/// Reads what was announced: its number, and what it says.
pub fn announced(message: &Message) -> Option<(u64, LogMessage)> {
    let number = number(message, "Nats-Sequence")?;
    Some((number, LogMessage::new(message.subject(), message.payload().clone(), None)))
}

/// Reads the number of what was announced, and when it was stored.
fn mark(message: &Message) -> Option<Mark> {
    let stored_at = stream::nanos(message.header("Nats-Time-Stamp")?);
    Some(Mark { number: number(message, "Nats-Sequence")?, stored_at })
}

/// A message that a log has, or had. A log that has one with a lower number, or this, which is younger is another one,
/// if the clocks of the servers agree.
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

    /// Returns whether a log that begins and ends like this can have this message.
    fn is_within(self, state: StreamState) -> bool {
        (state.first_seq..=state.last_seq).contains(&self.number)
    }

    /// Returns whether by its times a log that begins and ends like this is not the one that this message is of. One
    /// that only ends before the message may be: as a server knows it that is behind.
    fn contradicts(self, state: StreamState) -> bool {
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

    /// Returns whether a log that begins and ends like this is another one, as its leader knows it. What it has under
    /// the number of one of these messages says so. Without any of them, times do; but they go back where the clocks
    /// of the servers differ and another one begins to lead.
    ///
    /// # Errors
    ///
    /// [`StreamError`] says why it is not known.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn contradict(&self, link: &Link, stream: &str, state: StreamState) -> Result<bool, StreamError> {
        let announced = self.announced.as_ref().and_then(|(_, message)| mark(message));
        let marks = || [announced, self.fetched, self.oldest].into_iter().flatten();
        for mark in marks().filter(|mark| mark.is_within(state)) {
            if let Some(stored_at) = stream::stored_at(link, stream, mark.number).await? {
                return Ok(stored_at != mark.stored_at);
            }
        }
        Ok(marks().any(|mark| mark.contradicts(state)))
    }
}

/// What one server has of a log.
#[derive(Debug)]
pub struct Answer {
    /// Messages by number, in order.
    pub messages: Vec<(u64, LogMessage)>,
    /// Whether it had no more.
    pub is_whole: bool,
}

/// Reads messages from a number on, at most so many; all subjects, or one. The server that answers may lag behind.
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
) -> Result<Answer, RequestError> {
    let mut question = serde_json::json!({ "seq": from, "batch": batch });
    if let Some(subject) = only {
        question["next_by_subj"] = subject.into();
    }
    let (messages, end) = ask(link, stream, &question).await?;
    // The servers end an answer that has too many bytes as well, and then count what is left.
    let is_left = end.is_some_and(|end| number(&end, "Nats-Num-Pending") != Some(0));
    Ok(Answer { is_whole: !is_left && (messages.len() as u64) < batch, messages })
}

/// Reads which message of a channel is the newest, and how far the server is that answers. Nothing is known if the log
/// has neither a message of the channel nor of the others, which only have to be there.
///
/// # Errors
///
/// [`RequestError`] if there is no answer, or it breaks off.
///
/// # Cancel safety
///
/// Cancel safe.
pub async fn newest(
    link: &Link,
    stream: &str,
    name: &ChannelName,
    subjects: &[String],
) -> Result<Newest, RequestError> {
    let (messages, end) = ask(link, stream, &serde_json::json!({ "multi_last": subjects })).await?;
    let Some(end) = end else { return Ok(Newest::default()) };
    let reached = number(&end, "Nats-UpTo-Sequence").ok_or(RequestError::Timeout)?;
    let ours = messages.iter().find(|(_, message)| message.channel.as_ref() == Some(name));
    Ok(Newest { reached, number: ours.map(|(number, _)| *number) })
}

/// Asks any server that has a copy. Returns its messages, and what ends them: nothing if there is none.
async fn ask(
    link: &Link,
    stream: &str,
    question: &serde_json::Value,
) -> Result<(Vec<(u64, LogMessage)>, Option<Message>), RequestError> {
    let inbox = link.new_inbox();
    let mut answers = link.subscribe(inbox.clone()).await?;
    link.publish_with_reply(format!("$JS.API.DIRECT.GET.{stream}"), inbox, question.to_string().into()).await?;
    let (mut messages, mut last) = (Vec::new(), 0);
    loop {
        let answer = timeout(NEXT_TIMEOUT, answers.next()).await.map_err(|_| RequestError::Timeout)?;
        let answer = answer.ok_or(RequestError::Closed)?;
        // One that is lost on the way would look like one that the log has dropped.
        let follows = || number(&answer, "Nats-Last-Sequence") == Some(last);
        match answer.status() {
            Some(END) if follows() => return Ok((messages, Some(answer))),
            Some(NOT_FOUND) if last == 0 => return Ok((messages, None)),
            None if follows() => {
                let (number, message) = stored(&answer).ok_or(RequestError::Timeout)?;
                last = number;
                messages.push((number, message));
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
    let stored_at = stream::nanos(message.header("Nats-Time-Stamp")?);
    Some((number, LogMessage::new(message.header("Nats-Subject")?, message.payload().clone(), Some(stored_at))))
}

/// Returns what a sequence has to know of a log.
pub fn state_of(epoch: Epoch, state: StreamState) -> sequence::State {
    sequence::State { epoch, last: state.last_seq, floor: state.first_seq.saturating_sub(1) }
}

/// How the clock of the servers stands to the one of this hub, which may differ. Both in microseconds since 1970.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clocks {
    servers: u64,
    here: u64,
}

impl Clocks {
    /// Notes what the servers say, and what the hub says at the same moment.
    pub fn new(info: &StreamInfo, here: u64) -> Self {
        Self { servers: info.now / 1000, here }
    }

    /// Returns when something was stored by the clock of this hub: only times of the servers are compared.
    pub fn here(self, stored_at: u64) -> u64 {
        self.here.saturating_sub(self.servers.saturating_sub(stored_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hub whose clock is an hour behind that of the servers, or ahead, knows how old a message is.
    #[test]
    fn age_of_a_message_does_not_depend_on_the_clock_of_the_hub() {
        const HOUR: u64 = 3_600_000_000;
        let info = StreamInfo { config: Default::default(), state: Default::default(), now: 5 * HOUR * 1000 };
        for here in [4 * HOUR, 5 * HOUR, 6 * HOUR] {
            let clocks = Clocks::new(&info, here);
            assert_eq!(here - clocks.here(5 * HOUR - 7), 7);
            assert_eq!(clocks.here(5 * HOUR + 7), here, "stored after the servers were asked");
        }
    }

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
