//! A tally: what every client received from every publisher, and what is wrong with it.
//!
//! Per (client, publisher) it keeps the sequence number that comes next, 4 bytes. A jump ahead is a loss until the
//! missing records come after all, which makes them reordered; what came before is a duplicate. The missing ranges are
//! kept only where something is missing.
//!
//! # Hot path
//!
//! [`Inbox::record`] runs once per delivery: decode, compare, count, one histogram entry. The clock is read once per
//! read.

use std::collections::HashMap;
use std::ops::Range;

use serde::Serialize;

use crate::latency::Latency;
use crate::reader::Sink;
use crate::record::{Format, Record};

/// Missing ranges remembered in all. A server that drops records at random makes many; beyond this, late ones count as
/// duplicates.
const GAPS_MAX: usize = 1 << 16;

/// What was received, over the whole run.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Counts {
    /// Records that came for the first time, whole.
    pub(crate) verified: u64,
    /// Records that later ones overtook for good.
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    /// Lines that are as long as a record and are none.
    pub(crate) corrupt: u64,
    /// Lines longer than a record.
    pub(crate) joined: u64,
    /// Lines shorter than a record.
    pub(crate) split: u64,
}

/// The books of a run.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) format: Format,
    publishers: usize,
    /// The next sequence number by client, then publisher.
    next: Vec<u32>,
    gaps: Gaps,
    pub(crate) counts: Counts,
    pub(crate) latency: Latency,
    /// Latencies of clients from here on are not counted: they are there to be slow.
    latency_clients: usize,
    /// Records intended earlier belong to a warm-up and are verified, but not timed.
    pub(crate) timed_from_ns: u64,
    /// The start of the first line that was no record.
    pub(crate) first_stranger: Option<String>,
}

/// Ranges of sequence numbers that were jumped over, by client and publisher.
#[derive(Debug, Default)]
struct Gaps {
    ranges: HashMap<(usize, u16), Vec<Range<u32>>>,
    len: usize,
}

impl Gaps {
    fn add(&mut self, key: (usize, u16), range: Range<u32>) {
        if self.len < GAPS_MAX {
            self.ranges.entry(key).or_default().push(range);
            self.len += 1;
        }
    }

    /// Takes one number out; false if it was not missing.
    fn remove(&mut self, key: (usize, u16), sequence: u32) -> bool {
        let Some(ranges) = self.ranges.get_mut(&key) else { return false };
        let Some(at) = ranges.iter().position(|range| range.contains(&sequence)) else { return false };
        let range = ranges.swap_remove(at);
        let parts = [range.start..sequence, sequence + 1..range.end];
        ranges.extend(parts.into_iter().filter(|part| !part.is_empty()));
        true
    }
}

impl Tally {
    /// Opens the books for `clients` connections, of which the first `publishers` also publish.
    pub(crate) fn new(format: Format, clients: usize, publishers: usize, latency_clients: usize) -> Self {
        Self {
            format,
            publishers,
            next: vec![0; clients * publishers],
            gaps: Gaps::default(),
            counts: Counts::default(),
            latency: Latency::new(),
            latency_clients,
            timed_from_ns: 0,
            first_stranger: None,
        }
    }

    /// The sequence numbers that come next for `client`, by publisher.
    pub(crate) fn row(&self, client: usize) -> &[u32] {
        &self.next[client * self.publishers..][..self.publishers]
    }

    /// How many of the `sent` records have not come to `client`, apart from the ones counted as lost.
    pub(crate) fn missing(&self, client: usize, sent: &[u32]) -> u64 {
        self.row(client).iter().zip(sent).map(|(next, sent)| u64::from(sent.saturating_sub(*next))).sum()
    }

    /// Opens `client`'s page for what one read brought at `now_ns`; control frames go to `controls`.
    pub(crate) fn inbox<'a>(&'a mut self, client: usize, now_ns: u64, controls: &'a mut Vec<Control>) -> Inbox<'a> {
        Inbox {
            row: &mut self.next[client * self.publishers..][..self.publishers],
            is_timed: client < self.latency_clients,
            format: &self.format,
            gaps: &mut self.gaps,
            counts: &mut self.counts,
            latency: &mut self.latency,
            timed_from_ns: self.timed_from_ns,
            first_stranger: &mut self.first_stranger,
            client,
            now_ns,
            controls,
        }
    }
}

/// A control frame to be answered after the read.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

/// One client's page of the books, open for one read.
#[derive(Debug)]
pub(crate) struct Inbox<'a> {
    row: &'a mut [u32],
    is_timed: bool,
    format: &'a Format,
    gaps: &'a mut Gaps,
    counts: &'a mut Counts,
    latency: &'a mut Latency,
    timed_from_ns: u64,
    first_stranger: &'a mut Option<String>,
    client: usize,
    now_ns: u64,
    controls: &'a mut Vec<Control>,
}

impl Inbox<'_> {
    /// Files a record that is not the next one; false if it came before.
    #[cold]
    fn out_of_turn(&mut self, record: Record) -> bool {
        let key = (self.client, record.publisher);
        let next = &mut self.row[usize::from(record.publisher)];
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

impl Sink for Inbox<'_> {
    #[inline]
    fn record(&mut self, line: &[u8]) -> bool {
        let Some(record) = self.format.decode(line) else { return false };
        let Some(next) = self.row.get_mut(usize::from(record.publisher)) else { return false };
        if record.sequence == *next {
            *next += 1;
        } else if !self.out_of_turn(record) {
            return true;
        }
        self.counts.verified += 1;
        if self.is_timed && record.intended_ns >= self.timed_from_ns {
            self.latency.record(self.now_ns.saturating_sub(record.intended_ns));
        }
        true
    }

    #[cold]
    fn stranger(&mut self, len: usize, start: &[u8]) {
        let size = self.format.size();
        let count = match len {
            len if len < size => &mut self.counts.split,
            len if len > size => &mut self.counts.joined,
            _ => &mut self.counts.corrupt,
        };
        *count += 1;
        self.first_stranger.get_or_insert_with(|| start[..start.len().min(60)].escape_ascii().to_string());
    }

    #[cold]
    fn control(&mut self, opcode: u8, payload: &[u8]) {
        self.controls.push(Control { opcode, payload: payload.to_vec() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::Reader;

    /// Feeds client 1 of 2 one text message and returns the counts.
    fn counts(message: impl FnOnce(&Format) -> Vec<u8>) -> Counts {
        let mut tally = Tally::new(Format::new(64, 0), 2, 1, 2);
        let payload = message(&tally.format);
        let len = u16::try_from(payload.len()).unwrap().to_be_bytes();
        let frame = [&[0x81, 126, len[0], len[1]][..], &payload].concat();
        let mut controls = Vec::new();
        let mut inbox = tally.inbox(1, 5_000, &mut controls);
        Reader::default().feed(&frame, 64, &mut inbox).unwrap();
        tally.counts
    }

    fn line(format: &Format, sequence: u32) -> Vec<u8> {
        let mut line = Vec::new();
        format.encode(Record { publisher: 0, sequence, intended_ns: 1_000 }, &mut line);
        line
    }

    fn lines(format: &Format, sequences: &[u32]) -> Vec<u8> {
        let lines: Vec<_> = sequences.iter().map(|sequence| line(format, *sequence)).collect();
        lines.join(&b'\n')
    }

    #[test]
    fn faultless_stream_counts_as_verified() {
        let counts = counts(|format| lines(format, &[0, 1, 2, 3]));
        assert_eq!((counts.verified, counts.lost, counts.duplicated, counts.reordered), (4, 0, 0, 0));
    }

    #[test]
    fn lost_record_is_found() {
        let counts = counts(|format| lines(format, &[0, 3, 4]));
        assert_eq!((counts.verified, counts.lost), (3, 2));
    }

    #[test]
    fn duplicated_record_is_found() {
        let counts = counts(|format| lines(format, &[0, 1, 1, 0, 2]));
        assert_eq!((counts.verified, counts.duplicated, counts.lost), (3, 2, 0));
    }

    /// A late record is not lost, and coming twice after that it is a duplicate.
    #[test]
    fn reordered_record_is_found() {
        let counts = counts(|format| lines(format, &[0, 4, 2, 1, 3, 2, 5]));
        assert_eq!((counts.verified, counts.reordered, counts.lost, counts.duplicated), (6, 3, 0, 1));
    }

    #[test]
    fn corrupt_record_is_found() {
        let counts = counts(|format| {
            let mut payload = lines(format, &[0, 1, 2]);
            payload[65 + 50] ^= 1;
            payload
        });
        assert_eq!((counts.verified, counts.corrupt, counts.lost), (2, 1, 1));
    }

    #[test]
    fn joined_records_are_found() {
        let counts = counts(|format| [lines(format, &[0, 1]), lines(format, &[2, 3])].concat());
        assert_eq!((counts.verified, counts.joined, counts.lost), (2, 1, 2));
    }

    #[test]
    fn split_record_is_found() {
        let counts = counts(|format| {
            let mut payload = lines(format, &[0, 1, 2]);
            payload.insert(65 + 30, b'\n');
            payload
        });
        assert_eq!((counts.verified, counts.split, counts.lost), (2, 2, 1));
    }

    /// The publisher's number is an index; one that was never given out is no record of ours.
    #[test]
    fn unknown_publisher_is_corrupt() {
        let counts = counts(|format| {
            let mut line = Vec::new();
            format.encode(Record { publisher: 1, sequence: 0, intended_ns: 0 }, &mut line);
            line
        });
        assert_eq!((counts.verified, counts.corrupt), (0, 1));
    }
}
