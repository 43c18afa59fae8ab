//! A tally: what every client received from every publisher, and what is wrong with it.
//!
//! Per (client, publisher it hears) it keeps the sequence number that comes next, 4 bytes. A jump ahead is a loss until
//! the missing records come after all, which makes them reordered; what came before is a duplicate. The missing ranges
//! are kept only where something is missing. Who arrives while messages flow begins with the first one it sees.
//!
//! # Hot path
//!
//! [`Inbox::record`] runs once per delivery: decode, compare, count. The clock is read once per read, and messages that
//! were sent and read together make one entry in the histogram.

use std::collections::HashMap;
use std::ops::Range;

use crate::audience::Audience;
use crate::report::Counts;
use crate::report::latency::Latency;
use crate::wire::reader::Sink;
use crate::wire::record::{Format, Record};
use crate::worker::order::Share;
use crate::worker::spread::Spread;

/// Instead of a sequence number: the next record decides which it is.
pub(crate) const UNSEEN: u32 = u32::MAX;

/// Missing ranges remembered in all. A server that drops records at random makes many; beyond this, late ones count as
/// duplicates.
const GAPS_MAX: usize = 1 << 16;

/// The books of a worker.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) format: Format,
    pub(crate) audience: Audience,
    share: Share,
    /// The next sequence number by client, then publisher.
    next: Vec<u32>,
    gaps: Gaps,
    pub(crate) counts: Counts,
    /// Of the records intended within the measured window.
    pub(crate) latency: Latency,
    /// Of those before it, since the last tick: for who watches, and in no figure.
    pub(crate) warm_up: Latency,
    pub(crate) spread: Spread,
    /// Latencies of clients from here on, of the whole run, are not counted: they are there to be slow or to leave.
    timed_clients: usize,
    /// Records intended earlier belong to a warm-up. Known before the first of them is sent: a window that opened when
    /// this process gets to it would forget what came before that from a quicker one.
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

    /// What a client missed in an earlier life is of no interest in the next.
    fn forget(&mut self, client: usize) {
        self.ranges.retain(|(owner, _), _| *owner != client);
        self.len = self.ranges.values().map(Vec::len).sum();
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
    /// Opens the books of the clients of `share`, of which those below `timed_clients` are timed.
    pub(crate) fn new(format: Format, audience: Audience, share: Share, timed_clients: usize) -> Self {
        Self {
            format,
            audience,
            share,
            next: Vec::new(),
            gaps: Gaps::default(),
            counts: Counts::default(),
            latency: Latency::new(),
            warm_up: Latency::new(),
            spread: Spread::default(),
            timed_clients,
            timed_from_ns: 0,
            first_stranger: None,
        }
    }

    /// Opens, or opens anew, the page of `client`, which is going to see what comes after `sent`, or whatever comes.
    pub(crate) fn open(&mut self, client: usize, sent: Option<&[u32]>) {
        let len = self.audience.row_len();
        if self.gaps.len > 0 {
            self.gaps.forget(client);
        }
        if self.next.len() < (client + 1) * len {
            self.next.resize((client + 1) * len, UNSEEN);
        }
        let heard = self.audience.heard_by(self.share.global(client));
        for (position, next) in self.next[client * len..][..len].iter_mut().enumerate() {
            let publisher = heard.map_or(position, |heard| usize::from(heard[position]));
            *next = sent.map_or(UNSEEN, |sent| sent[publisher]);
        }
    }

    /// The publishers that `client` hears, with the sequence number that comes next of each.
    pub(crate) fn row(&self, client: usize) -> impl Iterator<Item = (usize, u32)> {
        let len = self.audience.row_len();
        let heard = self.audience.heard_by(self.share.global(client));
        let row = self.next.get(client * len..).and_then(|rest| rest.get(..len)).unwrap_or_default();
        let row = row.iter().enumerate();
        row.map(move |(position, next)| (heard.map_or(position, |heard| usize::from(heard[position])), *next))
    }

    /// How many of the `sent` records have not come to `client`, apart from the ones counted as lost.
    pub(crate) fn missing(&self, client: usize, sent: &[u32]) -> u64 {
        // `UNSEEN` is beyond everything that was sent.
        self.row(client).map(|(publisher, next)| u64::from(sent[publisher].saturating_sub(next))).sum()
    }

    /// Raises `reached` to what `client` has, by publisher.
    pub(crate) fn reach(&self, client: usize, reached: &mut [u32]) {
        for (publisher, next) in self.row(client).filter(|(_, next)| *next != UNSEEN) {
            reached[publisher] = reached[publisher].max(next);
        }
    }

    /// Opens `client`'s page for what one read brought at `now_ns`; what needs an answer goes to `notes`.
    pub(crate) fn inbox<'a>(&'a mut self, client: usize, now_ns: u64, notes: &'a mut Vec<Note>) -> Inbox<'a> {
        let len = self.audience.row_len();
        let global = self.share.global(client);
        Inbox {
            row: &mut self.next[client * len..][..len],
            heard: self.audience.heard_by(global),
            is_timed: global < self.timed_clients,
            format: &self.format,
            gaps: &mut self.gaps,
            counts: &mut self.counts,
            latency: &mut self.latency,
            warm_up: &mut self.warm_up,
            spread: &mut self.spread,
            timed_from_ns: self.timed_from_ns,
            first_stranger: &mut self.first_stranger,
            client,
            now_ns,
            notes,
            run: Run::default(),
        }
    }
}

/// Something that came and is no record.
#[derive(Debug)]
pub(crate) enum Note {
    /// A control frame.
    Control { opcode: u8, payload: Vec<u8> },
    /// A line of a protocol that has other lines.
    Line(Vec<u8>),
}

/// One client's page of the books, open for one read.
#[derive(Debug)]
pub(crate) struct Inbox<'a> {
    row: &'a mut [u32],
    heard: Option<&'a [u16]>,
    is_timed: bool,
    format: &'a Format,
    gaps: &'a mut Gaps,
    counts: &'a mut Counts,
    latency: &'a mut Latency,
    warm_up: &'a mut Latency,
    spread: &'a mut Spread,
    timed_from_ns: u64,
    first_stranger: &'a mut Option<String>,
    client: usize,
    now_ns: u64,
    notes: &'a mut Vec<Note>,
    run: Run,
}

/// Deliveries of one read whose messages were meant to be sent at the same time: they have the same latency.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    intended_ns: u64,
    count: u64,
}

impl Inbox<'_> {
    /// Ends the read.
    #[inline]
    pub(crate) fn close(mut self) {
        self.end_run();
    }

    /// Counts the latency of the run.
    #[inline]
    fn end_run(&mut self) {
        let count = std::mem::take(&mut self.run.count);
        if count > 0 {
            self.latency.record_n(self.now_ns.saturating_sub(self.run.intended_ns), count);
        }
    }

    /// Where the publisher's sequence number stands in the row.
    #[inline]
    fn position(&self, publisher: u16) -> Option<usize> {
        match self.heard {
            None => Some(usize::from(publisher)),
            Some(heard) => heard.iter().position(|heard| *heard == publisher),
        }
    }

    /// Files a record that is not the next one; false if it came before.
    #[cold]
    fn out_of_turn(&mut self, record: Record, position: usize) -> bool {
        let key = (self.client, record.publisher);
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

impl Sink for Inbox<'_> {
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
            if record.intended_ns != self.run.intended_ns {
                self.end_run();
                self.run.intended_ns = record.intended_ns;
            }
            self.run.count += 1;
            self.spread.record(record.sequence, latency);
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
    fn other(&mut self, line: &[u8]) {
        self.notes.push(Note::Line(line.to_vec()));
    }

    #[cold]
    fn control(&mut self, opcode: u8, payload: &[u8]) {
        self.notes.push(Note::Control { opcode, payload: payload.to_vec() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::config;
    use crate::wire::face::Face;
    use crate::wire::reader::{Reader, Shape};

    /// Feeds client 1, which has seen `sent`, one text message and returns the counts.
    fn counts_after(sent: Option<&[u32]>, message: impl FnOnce(&Format) -> Vec<u8>) -> Counts {
        let audience = Audience::new(&config("loadtest fanout"));
        let mut tally = Tally::new(Format::new(64, 0), audience, Share { index: 0, of: 1 }, 2);
        tally.open(0, Some(&[0]));
        tally.open(1, sent);
        let payload = message(&tally.format);
        let len = u16::try_from(payload.len()).unwrap().to_be_bytes();
        let frame = [&[0x81, 126, len[0], len[1]][..], &payload].concat();
        let mut notes = Vec::new();
        let mut inbox = tally.inbox(1, 5_000, &mut notes);
        Reader::default().feed(&frame, &Shape::new(&Face::Plain, 64), &mut inbox).unwrap();
        tally.counts
    }

    fn counts(message: impl FnOnce(&Format) -> Vec<u8>) -> Counts {
        counts_after(Some(&[0]), message)
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

    /// However the latencies are counted, each delivery has one.
    #[test]
    fn every_delivery_is_timed() {
        let audience = Audience::new(&config("loadtest fanout"));
        let mut tally = Tally::new(Format::new(64, 0), audience, Share { index: 0, of: 1 }, 2);
        tally.open(0, Some(&[0]));
        let mut notes = Vec::new();
        let mut inbox = tally.inbox(0, 9_000_000, &mut notes);
        for (sequence, intended_ns) in [(0, 1_000_000), (1, 1_000_000), (2, 4_000_000), (3, 1_000_000)] {
            let mut line = Vec::new();
            inbox.format.encode(Record { publisher: 0, sequence, intended_ns }, &mut line);
            assert!(inbox.record(&line));
        }
        inbox.close();
        let buckets: Vec<_> = tally.latency.buckets().iter().map(|b| (b.value_us / 1_000, b.count)).collect();
        assert_eq!(buckets, [(5, 1), (8, 3)], "milliseconds and deliveries");
    }

    /// Who arrives in the middle has lost nothing, and can lose something from then on.
    #[test]
    fn newcomer_begins_with_the_first_record_it_sees() {
        let counts = counts_after(None, |format| lines(format, &[7, 8, 10]));
        assert_eq!((counts.verified, counts.lost, counts.duplicated), (3, 1, 0));
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
