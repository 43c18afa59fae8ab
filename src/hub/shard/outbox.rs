//! The outbox: everything that one connection still has to get, as one bounded queue.
//!
//! It is a view that owns nothing: the connection's control queue, then the range of the log from the subscription's
//! cursor. Its length is exact and its elements cost nothing until they are written; a property test compares it with a
//! `VecDeque`.

use super::control_queue::ControlQueue;
use super::log::Log;
use crate::hub::{Sent, Sink};
use crate::protocol::Encoding;
use crate::protocol::websocket::frame::Head;
use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;
use std::io::IoSlice;

/// Slices of one vectored write; a coalesced message of small publications fits without an allocation.
type Slices<'a> = SmallVec<[IoSlice<'a>; 16]>;

/// The publications of one channel that a subscription still has to get.
#[derive(Debug)]
pub struct Window<'a> {
    /// The channel's log on this shard.
    pub log: &'a Log,
    /// How a range of it becomes a message.
    pub encoding: Encoding,
    /// The subscription's position.
    pub cursor: &'a mut u64,
}

/// Everything that one connection still has to get from its control queue and one of its channels.
#[derive(Debug)]
pub struct Outbox<'a> {
    /// Leaves first.
    pub control: &'a mut ControlQueue,
    /// Leaves after the control queue.
    pub window: Option<Window<'a>>,
}

/// Result of one flush.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FlushOutcome {
    /// How much the sink took.
    pub sent: Sent,
    /// Bytes that the sink took, frame heads among them.
    pub bytes: usize,
    /// Publications that left the outbox; the last of them may be in the control queue as the rest of a frame.
    pub publications: usize,
}

impl Outbox<'_> {
    /// Returns the bytes that wait, frame heads not counted.
    pub fn bytes(&self) -> u64 {
        let lag = self.window.as_ref().map_or(0, |window| window.log.head() - *window.cursor);
        self.control.len() as u64 + lag
    }

    /// Returns the publications that wait.
    pub fn publications(&self) -> usize {
        self.window.as_ref().map_or(0, |window| window.log.publications_between(*window.cursor, window.log.head()))
    }

    /// Returns whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// Offers the control queue and one message of coalesced publications to the sink, in one vectored write.
    ///
    /// After a short write the rest of the frame on the wire is in the control queue, so that the cursor stands on a
    /// message boundary: a pong or a close frame may come next, and the log may be trimmed.
    pub fn flush<S: Sink>(&mut self, sink: &mut S) -> FlushOutcome {
        let (to, head, body_len) = self.window.as_ref().map_or((0, Head::EMPTY, 0), Window::next_frame);
        let (lane_len, frame_len) = (self.control.len(), head.as_slice().len() + body_len);
        let mut slices: Slices<'_> = self.control.parts().into_iter().map(|part| IoSlice::new(part)).collect();
        let frame_at = slices.len();
        if let Some(window) = &self.window {
            slices.push(IoSlice::new(head.as_slice()));
            slices.extend(window.slices(to, body_len));
        }
        let sent = sink.send_vectored(&slices);
        let taken = match sent {
            Sent::All => lane_len + frame_len,
            Sent::Short(taken) => taken,
            Sent::Gone => 0,
        };
        let of_frame = taken.saturating_sub(lane_len);
        let rest =
            (0 < of_frame && of_frame < frame_len).then(|| concat(&slices[frame_at..], of_frame, frame_len - of_frame));
        drop(slices);
        self.control.advance(taken.min(lane_len));
        let mut publications = 0;
        if let Some(window) = self.window.as_mut().filter(|_| of_frame > 0) {
            publications = window.log.publications_between(*window.cursor, to);
            *window.cursor = to;
        }
        if let Some(rest) = rest {
            self.control.push_rest(rest);
        }
        FlushOutcome { sent, bytes: taken, publications }
    }
}

impl Outbox<'_> {
    /// Offers the control queue and the waiting publications, each as a message of its own, in one vectored write; at
    /// most as many as one coalesced message may hold.
    ///
    /// After a short write the rest of the frame on the wire is in the control queue, as with [`Outbox::flush`].
    pub fn flush_split<S: Sink>(&mut self, sink: &mut S) -> FlushOutcome {
        let (frames, parts) = self.window.as_ref().map_or_else(Default::default, Window::split);
        let lane_len = self.control.len();
        let mut slices: Slices<'_> = self.control.parts().into_iter().map(|part| IoSlice::new(part)).collect();
        slices.push(IoSlice::new(&frames));
        let sent = sink.send_vectored(&slices);
        let taken = match sent {
            Sent::All => lane_len + frames.len(),
            Sent::Short(taken) => taken,
            Sent::Gone => 0,
        };
        drop(slices);
        self.control.advance(taken.min(lane_len));
        let of_frames = taken.saturating_sub(lane_len);
        // Those of which at least the first byte is on the wire.
        let starts = std::iter::once(0).chain(parts.iter().map(|part| part.frame_end));
        let last = starts.zip(&parts).take_while(|(start, _)| *start < of_frames).last().map(|(_, part)| part);
        let mut publications = 0;
        if let (Some(window), Some(last)) = (&mut self.window, last) {
            publications = window.log.publications_between(*window.cursor, last.log_end);
            *window.cursor = last.log_end;
            if of_frames < last.frame_end {
                self.control.push_rest(Bytes::copy_from_slice(&frames[of_frames..last.frame_end]));
            }
        }
        FlushOutcome { sent, bytes: taken, publications }
    }
}

/// Where the frame of one publication ends, and where the publication ends in the log.
struct SplitPart {
    frame_end: usize,
    log_end: u64,
}

impl Window<'_> {
    /// Returns the next publications as a frame each, back to back.
    fn split(&self) -> (Vec<u8>, Vec<SplitPart>) {
        let (mut frames, mut parts, mut from) = (Vec::new(), Vec::new(), *self.cursor);
        for end in self.log.ends_between(from, self.log.window_end(from)) {
            let (head, mut left) = self.encoding.frame(usize::try_from(end - from).unwrap_or(usize::MAX));
            frames.extend_from_slice(head.as_slice());
            for slice in self.log.slices(from, end) {
                let slice = &slice[..slice.len().min(left)];
                left -= slice.len();
                frames.extend_from_slice(slice);
            }
            parts.push(SplitPart { frame_end: frames.len(), log_end: end });
            from = end;
        }
        (frames, parts)
    }

    /// Returns where the next message ends, its frame's head, and how many bytes of the log follow the head.
    fn next_frame(&self) -> (u64, Head, usize) {
        let to = self.log.window_end(*self.cursor);
        match usize::try_from(to - *self.cursor).unwrap_or(usize::MAX) {
            0 => (to, Head::EMPTY, 0),
            len => {
                let (head, body_len) = self.encoding.frame(len);
                (to, head, body_len)
            }
        }
    }

    fn slices(&self, to: u64, mut left: usize) -> impl Iterator<Item = IoSlice<'_>> {
        self.log.slices(*self.cursor, to).map(move |slice| {
            let slice = &slice[..slice.len().min(left)];
            left -= slice.len();
            IoSlice::new(slice)
        })
    }
}

/// Copies the bytes of `slices` after the first `skipped`.
fn concat(slices: &[IoSlice<'_>], mut skipped: usize, len: usize) -> Bytes {
    let mut rest = BytesMut::with_capacity(len);
    for slice in slices {
        let start = skipped.min(slice.len());
        skipped -= start;
        rest.extend_from_slice(&slice[start..]);
    }
    rest.freeze()
}
