//! A tally: what every client received from every publisher, and the faults in it.
//!
//! Per (client, publisher it hears) it keeps the sequence number that comes next, 4 bytes. A jump ahead is a loss until
//! the missing records come after all, which makes them reordered; what came before is a duplicate. The missing ranges
//! are kept only where something is missing. A client that connects during a load begins with the first one it sees.

use super::gaps::Gaps;
use super::positions::Positions;
use super::read_tally::{Batch, Note, ReadTally, UNSEEN};
use super::share::Share;
use super::spread::Spread;
use crate::audience::Audience;
use crate::measure::Counts;
use crate::measure::histogram::Histogram;
use crate::wire::record::Format;

/// The deliveries to the clients of a worker.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) format: Format,
    pub(crate) audience: Audience,
    share: Share,
    /// The next sequence number by client, then publisher.
    next: Vec<u32>,
    gaps: Gaps,
    pub(crate) positions: Positions,
    pub(crate) counts: Counts,
    /// Of the records intended within the measured window.
    pub(crate) latency: Histogram,
    /// Of those before it, since the last tick: for the progress line, and in no figure.
    pub(crate) warm_up: Histogram,
    pub(crate) spread: Spread,
    /// Latencies of clients from here on, of the whole run, are not counted: they are there to be slow or to leave.
    timed_clients: usize,
    /// Records intended earlier belong to a warm-up. It is set before the first of them is sent: set when the window
    /// opens here, it would exclude messages of a worker that opened its window a little earlier.
    pub(crate) timed_from_ns: u64,
    /// The start of the first line that was no record.
    pub(crate) first_unexpected: Option<String>,
}

impl Tally {
    /// Returns an empty tally of the clients of `share`, of which those below `timed_clients` are timed.
    pub(crate) fn new(format: Format, audience: Audience, share: Share, timed_clients: usize) -> Self {
        Self {
            format,
            audience,
            share,
            next: Vec::new(),
            gaps: Gaps::default(),
            positions: Positions::default(),
            counts: Counts::default(),
            latency: Histogram::new(),
            warm_up: Histogram::new(),
            spread: Spread::default(),
            timed_clients,
            timed_from_ns: 0,
            first_unexpected: None,
        }
    }

    /// Begins, or begins again, the row of `client`, which expects what comes after `sent`. Without `sent`, its first
    /// record decides.
    pub(crate) fn open(&mut self, client: usize, sent: Option<&[u32]>) {
        let len = self.audience.row_len();
        if !self.gaps.is_empty() {
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

    /// Returns the publishers that `client` hears, with the sequence number that comes next of each.
    pub(crate) fn row(&self, client: usize) -> impl Iterator<Item = (usize, u32)> {
        let len = self.audience.row_len();
        let heard = self.audience.heard_by(self.share.global(client));
        let row = self.next.get(client * len..).and_then(|rest| rest.get(..len)).unwrap_or_default();
        let row = row.iter().enumerate();
        row.map(move |(position, next)| (heard.map_or(position, |heard| usize::from(heard[position])), *next))
    }

    /// Returns how many of the `sent` records have not come to `client`, apart from the ones counted as lost.
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

    /// Returns `client`'s row for what one read brought at `now_ns`; what needs an answer goes to `notes`.
    pub(crate) fn read<'a>(&'a mut self, client: usize, now_ns: u64, notes: &'a mut Vec<Note>) -> ReadTally<'a> {
        let len = self.audience.row_len();
        let global = self.share.global(client);
        ReadTally {
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
            first_unexpected: &mut self.first_unexpected,
            client,
            now_ns,
            offset: self.positions.offset(client),
            notes,
            batch: Batch::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::config;
    use crate::wire::protocol::Protocol;
    use crate::wire::reader::Reader;
    use crate::wire::record::Record;
    use crate::wire::shape::{Shape, Sink};

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
        let mut read = tally.read(1, 5_000, &mut notes);
        Reader::default().feed(&frame, &Shape::new(&Protocol::Plain, 64), &mut read).unwrap();
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
        let mut read = tally.read(0, 9_000_000, &mut notes);
        for (sequence, intended_ns) in [(0, 1_000_000), (1, 1_000_000), (2, 4_000_000), (3, 1_000_000)] {
            let mut line = Vec::new();
            read.format.encode(Record { publisher: 0, sequence, intended_ns }, &mut line);
            assert!(read.record(&line));
        }
        read.close();
        let buckets: Vec<_> = tally.latency.buckets().iter().map(|b| (b.value_us / 1_000, b.count)).collect();
        assert_eq!(buckets, [(5, 1), (8, 3)], "milliseconds and deliveries");
    }

    /// A client that connects while messages flow has lost nothing, and can lose something from then on.
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
    fn merged_records_are_found() {
        let counts = counts(|format| [lines(format, &[0, 1]), lines(format, &[2, 3])].concat());
        assert_eq!((counts.verified, counts.merged, counts.lost), (2, 1, 2));
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
