//! A read tally: what one read brought one client.
//!
//! # Hot path
//!
//! [`ReadTally::record`] runs once per delivery: decode, compare, count. The clock is read once per read, and messages
//! that were sent and read together make one entry in the histogram.

use super::gaps::{GapKey, Gaps};
use super::spread::Spread;
use crate::measure::Counts;
use crate::measure::histogram::Histogram;
use crate::wire::record::{Format, Record};
use crate::wire::shape::Sink;

/// Instead of a sequence number: the next record decides which it is.
pub(crate) const UNSEEN: u32 = u32::MAX;

/// The row of one client during one read.
#[derive(Debug)]
pub(crate) struct ReadTally<'a> {
    pub(super) row: &'a mut [u32],
    pub(super) heard: Option<&'a [u16]>,
    pub(super) is_timed: bool,
    pub(super) format: &'a Format,
    pub(super) gaps: &'a mut Gaps,
    pub(super) counts: &'a mut Counts,
    pub(super) latency: &'a mut Histogram,
    pub(super) warm_up: &'a mut Histogram,
    pub(super) spread: &'a mut Spread,
    pub(super) timed_from_ns: u64,
    pub(super) first_unexpected: &'a mut Option<String>,
    pub(super) client: usize,
    pub(super) now_ns: u64,
    /// The newest line that the client has, where lines are numbered.
    pub(super) offset: Option<&'a mut u64>,
    pub(super) notes: &'a mut Vec<Note>,
    pub(super) batch: Batch,
}

/// Deliveries of one read whose messages were meant to be sent at the same time: they have the same latency.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Batch {
    intended_ns: u64,
    count: u64,
}

impl ReadTally<'_> {
    /// Ends the read.
    #[inline]
    pub(crate) fn close(mut self) {
        self.end_batch();
    }

    /// Counts the latency of the batch.
    #[inline]
    fn end_batch(&mut self) {
        let count = std::mem::take(&mut self.batch.count);
        if count > 0 {
            self.latency.record_n(self.now_ns.saturating_sub(self.batch.intended_ns), count);
        }
    }

    /// Returns where the publisher's sequence number stands in the row.
    #[inline]
    fn position(&self, publisher: u16) -> Option<usize> {
        match self.heard {
            None => Some(usize::from(publisher)),
            Some(heard) => heard.iter().position(|heard| *heard == publisher),
        }
    }

    /// Counts a record that is not the next one. Returns false if it came before.
    #[cold]
    fn out_of_turn(&mut self, record: Record, position: usize) -> bool {
        let key = GapKey { client: self.client, publisher: record.publisher };
        let next = &mut self.row[position];
        if *next == UNSEEN {
            *next = record.sequence + 1;
            return true;
        }
        if record.sequence > *next {
            self.counts.lost += u64::from(record.sequence - *next);
            self.gaps.add(key, *next..record.sequence);
            *next = record.sequence + 1;
            return true;
        }
        let is_late = self.gaps.remove(key, record.sequence);
        if is_late {
            self.counts.lost -= 1;
            self.counts.reordered += 1;
        } else {
            self.counts.duplicated += 1;
        }
        is_late
    }
}

impl Sink for ReadTally<'_> {
    #[inline]
    fn record(&mut self, line: &[u8]) -> bool {
        let Some(record) = self.format.decode(line) else { return false };
        let Some(position) = self.position(record.publisher) else { return false };
        let Some(next) = self.row.get_mut(position) else { return false };
        if record.sequence == *next {
            *next += 1;
        } else if !self.out_of_turn(record, position) {
            return true;
        }
        self.counts.verified += 1;
        if self.is_timed {
            let latency = self.now_ns.saturating_sub(record.intended_ns);
            if record.intended_ns < self.timed_from_ns {
                self.warm_up.record(latency);
                return true;
            }
            if record.intended_ns != self.batch.intended_ns {
                self.end_batch();
                self.batch.intended_ns = record.intended_ns;
            }
            self.batch.count += 1;
            self.spread.record(record.publisher, record.sequence, latency);
        }
        true
    }

    #[inline]
    fn before(&mut self, text: &[u8]) {
        if let Some(offset) = &mut self.offset {
            let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
            **offset = digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
        }
    }

    #[cold]
    fn unexpected(&mut self, len: usize, start: &[u8]) {
        let size = self.format.size();
        let count = match len {
            len if len < size => &mut self.counts.split,
            len if len > size => &mut self.counts.merged,
            _ => &mut self.counts.corrupt,
        };
        *count += 1;
        self.first_unexpected.get_or_insert_with(|| start[..start.len().min(60)].escape_ascii().to_string());
    }

    #[cold]
    fn without_record(&mut self, line: &[u8]) {
        self.notes.push(Note::Line(line.to_vec()));
    }

    #[cold]
    fn control(&mut self, opcode: u8, payload: &[u8]) {
        self.notes.push(Note::Control { opcode, payload: payload.to_vec() });
    }
}

/// Anything but a record.
#[derive(Debug)]
pub(crate) enum Note {
    /// A control frame.
    Control { opcode: u8, payload: Vec<u8> },
    /// A line of a protocol that has other lines.
    Line(Vec<u8>),
}
