//! A publisher: writes the messages that are due to the sockets of the publishing clients.

use super::backend::Backend;
use super::messages::TimedLoad;
use super::pool::Pool;
use super::share::Share;
use super::source::Source;
use super::tally::Tally;
use crate::audience::Audience;
use crate::clock::now_ns;
use crate::measure::histogram::Histogram;
use crate::wire::protocol::Protocol;
use crate::wire::record::Record;
use anyhow::Result;

/// Bytes that a client holds for a server that does not read; then the source falls behind its clock, which shows as
/// latency.
const UNSENT_MAX: usize = 256 << 10;

/// What is sent when, and what was sent.
#[derive(Debug)]
pub(super) struct Publisher {
    share: Share,
    protocol: Protocol,
    /// Present if messages go through the server's API instead.
    pub(super) backend: Option<Backend>,
    source: Source,
    /// Messages sent, by publisher: of this worker's own as it goes, of others as the coordinator said last.
    pub(super) sent: Vec<u32>,
    /// How much later than due the messages were written.
    pub(super) lateness: Histogram,
    /// Whether the next message waits for its client's socket and not for the clock.
    is_held_back: bool,
    /// Whether everything that was sent has come, and nothing is being sent.
    pub(super) is_quiet: bool,
}

impl Publisher {
    /// Returns a publisher that sends nothing yet, of the publisher numbers `0..publishers`.
    pub(super) fn new(share: Share, protocol: Protocol, publishers: usize, backend: Option<Backend>) -> Self {
        Self {
            share,
            protocol,
            backend,
            source: Source::Silent,
            sent: vec![0; publishers],
            lateness: Histogram::new(),
            is_held_back: false,
            is_quiet: true,
        }
    }

    /// Begins a load.
    pub(super) fn begin(&mut self, load: &TimedLoad, audience: &Audience) {
        self.is_quiet = false;
        self.source = Source::new(load, self.share, audience);
        self.lateness.reset();
        self.backend.iter_mut().for_each(Backend::reset);
    }

    /// Ends the load, sent or not.
    pub(super) fn end(&mut self) {
        self.source = Source::Silent;
    }

    /// Returns when the next message is due; `u64::MAX` if none is, or the clock does not decide.
    pub(super) fn due_ns(&self) -> u64 {
        self.source.due_ns()
    }

    /// Whether the next message waits for its client's socket and not for the clock.
    pub(super) const fn is_held_back(&self) -> bool {
        self.is_held_back
    }

    /// Returns when the API may be asked again after a pause; `u64::MAX` if there is none.
    pub(super) fn resume_ns(&self) -> u64 {
        self.backend.as_ref().map_or(u64::MAX, Backend::due_ns)
    }

    /// Whether something is due, or was sent to the API and is not accepted.
    pub(super) fn is_busy(&self) -> bool {
        self.due_ns() != u64::MAX || self.backend.as_ref().is_some_and(|backend| !backend.is_idle())
    }

    /// Handles an event of a connection to the API.
    ///
    /// # Errors
    ///
    /// As [`Backend::handle`].
    pub(super) fn answered(&mut self, token: usize, tally: &Tally) -> Result<()> {
        self.backend.as_mut().map_or(Ok(()), |backend| backend.handle(token, tally))
    }

    /// Forgets what the API has not accepted and is not asked to.
    pub(super) fn give_up(&mut self) {
        let Some(backend) = &mut self.backend else { return };
        let given_up = backend.give_up(self.sent.len());
        self.sent.iter_mut().zip(given_up).for_each(|(sent, given_up)| *sent -= given_up);
    }

    /// Sends what is due.
    ///
    /// # Hot path
    ///
    /// Once per client that is read; costs a clock read unless something is due.
    ///
    /// # Errors
    ///
    /// Fails when no socket to the API can be made.
    pub(super) fn send_due(&mut self, pool: &mut Pool, tally: &Tally) -> Result<()> {
        let is_resumed = self.resume_ns() <= now_ns();
        let has_sent = self.take_due(pool, tally);
        match &mut self.backend {
            Some(backend) if has_sent || is_resumed => backend.send_waiting(tally),
            _ => Ok(()),
        }
    }

    /// Sends what is due, or queues it for the API, and returns whether there was anything.
    fn take_due(&mut self, pool: &mut Pool, tally: &Tally) -> bool {
        let mut has_sent = false;
        match std::mem::replace(&mut self.source, Source::Silent) {
            Source::Silent => {}
            Source::Clock(mut schedule) => {
                let now = now_ns();
                let mut due = schedule.due_ns();
                while due != u64::MAX {
                    let Some(index) = self.client_of(schedule.publisher(), &tally.audience) else { break };
                    self.is_held_back = self.is_full(pool, schedule.publisher(), index);
                    if due > now || self.is_held_back {
                        break;
                    }
                    self.publish(pool, tally, schedule.publisher(), index, due);
                    has_sent = true;
                    if due >= tally.timed_from_ns && self.backend.is_none() {
                        self.lateness.record(now - due);
                    }
                    schedule.advance(&tally.audience);
                    due = schedule.due_ns();
                    // A burst of one publisher goes out in one write.
                    let is_last = due > now || self.client_of(schedule.publisher(), &tally.audience) != Some(index);
                    if self.backend.is_none() && (is_last || pool[index].unsent() >= UNSENT_MAX) {
                        pool[index].flush();
                    }
                }
                self.source = Source::Clock(schedule);
            }
            Source::Window(window) => {
                self.source = Source::Window(window);
                // The publisher is this worker's first client, or that client counts for it.
                let in_flight: u32 = tally.row(0).map(|(from, next)| self.sent[from].saturating_sub(next)).sum();
                if in_flight < window {
                    let (now, first) = (now_ns(), self.sent_total(&tally.audience));
                    for number in first..first + u64::from(window - in_flight) {
                        self.publish(pool, tally, tally.audience.publisher_of(number), 0, now);
                    }
                    pool[0].flush();
                    has_sent = true;
                }
            }
        }
        has_sent
    }

    /// Whether what was sent before is too much for the connection of a publisher.
    fn is_full(&self, pool: &Pool, publisher: usize, index: usize) -> bool {
        match &self.backend {
            Some(backend) => backend.is_full(publisher),
            None => pool[index].unsent() >= UNSENT_MAX,
        }
    }

    /// Returns this worker's number of the client that sends for a publisher number, if it is one of its own.
    pub(super) fn client_of(&self, publisher: usize, audience: &Audience) -> Option<usize> {
        self.share.local(audience.client_of(publisher)?)
    }

    /// Returns the messages sent by this worker, by publisher; 0 for those of others.
    pub(super) fn own_sent(&self, audience: &Audience) -> Vec<u32> {
        let own = |publisher: usize| self.client_of(publisher, audience).map_or(0, |_| self.sent[publisher]);
        (0..self.sent.len()).map(own).collect()
    }

    /// Returns the number of messages sent by this worker.
    pub(super) fn sent_total(&self, audience: &Audience) -> u64 {
        let own = |publisher: &usize| self.client_of(*publisher, audience).is_some();
        (0..self.sent.len()).filter(own).map(|publisher| u64::from(self.sent[publisher])).sum()
    }

    /// Writes one message of `publisher` to the buffer of its client `index`, if that is connected, or queues it for
    /// the API.
    fn publish(&mut self, pool: &mut Pool, tally: &Tally, publisher: usize, index: usize, intended_ns: u64) {
        let Ok(number) = u16::try_from(publisher) else { return };
        let record = Record { publisher: number, sequence: self.sent[publisher], intended_ns };
        if let Some(backend) = &mut self.backend {
            backend.queue(record);
            self.sent[publisher] += 1;
            return;
        }
        let client = &mut pool[index];
        if !client.is_open() {
            return;
        }
        let format = &tally.format;
        if self.protocol == Protocol::Plain {
            client.queue(1, format.size(), |out| format.encode(record, out));
        } else {
            let (before, after) = self.protocol.wrapping(&tally.audience.channel(publisher), format.size());
            client.queue(self.protocol.opcode(), before.len() + format.size() + after.len(), |out| {
                out.extend_from_slice(&before);
                format.encode(record, out);
                out.extend_from_slice(&after);
            });
        }
        self.sent[publisher] += 1;
    }
}
