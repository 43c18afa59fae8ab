//! Publishing: writes what is due to its publishers' sockets.

use crate::clock::now_ns;
use crate::wire::face::Face;
use crate::wire::record::Record;
use crate::worker::engine::Engine;
use crate::worker::source::Source;

/// A publisher whose server does not read holds this much; then the source falls behind its clock, which shows as
/// latency.
const UNSENT_MAX: usize = 256 << 10;

impl Engine {
    /// Sends what is due.
    ///
    /// # Hot path
    ///
    /// Once per client that is read; costs a clock read unless something is due.
    pub(super) fn send_due(&mut self) {
        match std::mem::replace(&mut self.source, Source::Silent) {
            Source::Silent => {}
            Source::Clock(mut schedule) => {
                let now = now_ns();
                let mut due = schedule.due_ns();
                while due != u64::MAX {
                    let Some(index) = self.client_of(schedule.publisher()) else { break };
                    self.is_held_back = self.clients[index].unsent() >= UNSENT_MAX;
                    if due > now || self.is_held_back {
                        break;
                    }
                    self.publish(schedule.publisher(), index, due);
                    if due >= self.tally.timed_from_ns {
                        self.lateness.record(now - due);
                    }
                    schedule.advance(&self.tally.audience);
                    due = schedule.due_ns();
                    // A burst of one publisher goes out in one write.
                    let is_last = due > now || self.client_of(schedule.publisher()) != Some(index);
                    if is_last || self.clients[index].unsent() >= UNSENT_MAX {
                        self.clients[index].flush();
                    }
                }
                self.source = Source::Clock(schedule);
            }
            Source::Window(window) => {
                self.source = Source::Window(window);
                // The publisher is this worker's first client.
                let seen = self.tally.row(0).next().map_or(0, |(_, next)| next);
                let under_way = self.sent[0].saturating_sub(seen);
                if under_way < window {
                    let now = now_ns();
                    (under_way..window).for_each(|_| self.publish(0, 0, now));
                    self.clients[0].flush();
                }
            }
        }
    }

    /// This worker's number of the client behind a publisher's number.
    pub(super) fn client_of(&self, publisher: usize) -> Option<usize> {
        self.share.local(self.tally.audience.client_of(publisher)?)
    }

    /// Writes one message of `publisher` to its client's buffer, if the connection is still there.
    fn publish(&mut self, publisher: usize, index: usize, intended_ns: u64) {
        let client = &mut self.clients[index];
        let Ok(number) = u16::try_from(publisher) else { return };
        if !client.is_open() {
            return;
        }
        let format = &self.tally.format;
        let record = Record { publisher: number, sequence: self.sent[publisher], intended_ns };
        if self.config.face == Face::Plain {
            client.queue(1, format.size(), |out| format.encode(record, out));
        } else {
            let (before, after) = self.config.face.wrapping(&self.tally.audience.channel(publisher));
            client.queue(1, before.len() + format.size() + after.len(), |out| {
                out.extend_from_slice(before.as_bytes());
                format.encode(record, out);
                out.extend_from_slice(after.as_bytes());
            });
        }
        self.sent[publisher] += 1;
    }
}
