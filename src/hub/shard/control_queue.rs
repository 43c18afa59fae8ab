//! The control queue: the private part of an outbox, for the few connections that need one at the moment.
//!
//! It leaves before the range of the log, at a frame boundary. It is bounded by its shape: the rest of one frame, one
//! pong (only the newest ping is answered, which RFC 6455 section 5.5.3 allows), one ping, one notice, one close frame;
//! and replies, whose client is not read while they wait.

use crate::hub::ReplyPermit;
use crate::hub::inbox::SlotWaker;
use crate::protocol::encoding::Control;
use crate::protocol::{CloseReason, Encoding};
use bytes::{Bytes, BytesMut};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

/// What one connection has to get besides the publications of its channels, and when it stopped taking bytes.
#[derive(Debug, Default)]
pub struct ControlQueue {
    /// The end of a frame whose beginning is on the wire.
    rest: Bytes,
    pong: Bytes,
    ping: Bytes,
    /// Whole frames that belong before what is published later.
    replies: Bytes,
    /// Pays for the replies, and for the rest of one, until all of them have left.
    permit: Option<ReplyPermit>,
    /// Publications skipped by the policy `skip`, of whose notice no byte has left yet.
    missed: u64,
    /// Notices of a channel that were skipped in the same way, which tell who has joined and left.
    has_missed_events: bool,
    /// The notice about `missed`; empty until it is sealed.
    notice: Bytes,
    close: Bytes,
    /// Since when the sink has not taken a byte, from the hub's start.
    pub(super) stalled_since: Option<Duration>,
    /// Since when the connection lags by more than its bound, from the hub's start. As of the last tick.
    pub(super) over_bound_since: Option<Duration>,
    /// When the connection is aborted if it did not end by itself, from the hub's start.
    pub(super) deadline: Option<Duration>,
    /// Why the connection is closed once its backlog is out.
    pub(super) close_after: Option<CloseReason>,
    /// Made when the sink first was full.
    pub(super) waker: Option<Arc<SlotWaker>>,
}

impl ControlQueue {
    /// Queues the end of a frame that is half on the wire.
    pub fn push_rest(&mut self, rest: Bytes) {
        debug_assert!(self.rest.is_empty(), "one frame at a time is half on the wire");
        self.rest = rest;
    }

    /// Queues a pong in entry of the one that waits.
    pub fn push_pong(&mut self, frame: Bytes) {
        self.pong = frame;
    }

    /// Queues a ping, with what comes with it, in place of the one that waits.
    pub fn push_ping(&mut self, frames: Bytes) {
        self.ping = frames;
    }

    /// Queues whole frames behind those that wait.
    pub fn push_reply(&mut self, frames: &Bytes, permit: Option<ReplyPermit>) {
        self.hold(permit);
        if self.replies.is_empty() {
            self.replies = frames.clone();
            return;
        }
        // Grown in place, so that many small replies are not copied for each one that follows.
        let waiting = mem::take(&mut self.replies);
        let mut all = waiting.try_into_mut().unwrap_or_else(|waiting| BytesMut::from(&waiting[..]));
        all.extend_from_slice(frames);
        self.replies = all.freeze();
    }

    /// Keeps what pays for bytes that wait here.
    pub(super) fn hold(&mut self, permit: Option<ReplyPermit>) {
        match (&mut self.permit, permit) {
            (Some(held), Some(permit)) => held.merge(permit),
            (held @ None, permit) => *held = permit,
            (Some(_), None) => {}
        }
    }

    /// Queues the close frame; nothing leaves after it.
    pub fn push_close(&mut self, frame: Bytes) {
        self.close = frame;
    }

    /// Counts publications that the connection will not get. A notice that still waits is extended, so that
    /// publications after the gap come after the notice.
    pub fn push_missed(&mut self, publications: u64) {
        self.missed += publications;
        self.notice = Bytes::new();
    }

    /// Notes that the connection will not get some joins and leaves.
    pub(super) fn push_missed_events(&mut self) {
        self.has_missed_events = true;
        self.notice = Bytes::new();
    }

    /// Encodes the notice, which makes it part of what leaves next.
    pub(super) fn seal(&mut self, encoding: Encoding) {
        if self.has_missed() && self.notice.is_empty() {
            self.notice = encoding.control(Control::Missed(self.missed));
        }
    }

    /// Returns what leaves next, in order; a notice only once it is sealed.
    pub fn parts(&self) -> [&Bytes; 6] {
        [&self.rest, &self.pong, &self.ping, &self.replies, &self.notice, &self.close]
    }

    /// Returns the bytes that leave next.
    pub fn len(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }

    /// Returns whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && !self.has_missed()
    }

    fn has_missed(&self) -> bool {
        self.missed > 0 || self.has_missed_events
    }

    /// Removes `written` bytes from the front and returns how many of them were beyond the queue.
    pub fn advance(&mut self, mut written: usize) -> usize {
        let before_notice = self.rest.len() + self.pong.len() + self.ping.len() + self.replies.len();
        if written > before_notice && !self.notice.is_empty() {
            (self.missed, self.has_missed_events) = (0, false);
        }
        let mut rest = Bytes::new();
        let parts =
            [&mut self.rest, &mut self.pong, &mut self.ping, &mut self.replies, &mut self.notice, &mut self.close];
        for part in parts {
            let taken = written.min(part.len());
            written -= taken;
            if taken == part.len() {
                *part = Bytes::new();
            } else {
                if taken > 0 {
                    rest = part.split_off(taken);
                    *part = Bytes::new();
                }
                break;
            }
        }
        if !rest.is_empty() {
            self.rest = rest;
        }
        if self.rest.is_empty() && self.replies.is_empty() {
            self.permit = None;
        }
        written
    }
}
