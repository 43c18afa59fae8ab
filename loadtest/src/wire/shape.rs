//! A shape: what the lines or messages of a protocol look like, and where the record in one is.
//!
//! # Hot path
//!
//! [`Shape::take`] looks at most lines once, where they stand. What it does not know is left to [`Shape::judge`], which
//! reads all of a line or message.

use super::centrifuge::{self, Format};
use super::protobuf;
use super::protocol::Protocol;
use super::record::MARKER;
use memchr::memmem::Finder;

/// Bytes of a line that may stand around a record, in protocols that wrap it. JSON wrappers take some 100.
const WRAPPING_MAX: usize = 4096;

/// The consumer of what a reader finds.
pub(crate) trait Sink {
    /// Takes a line of the record's size; false if it is not a record, which includes anything with a newline in it.
    fn record(&mut self, line: &[u8]) -> bool;
    /// Takes what stood before a record in its line, in a protocol that wraps records.
    fn before(&mut self, text: &[u8]);
    /// Counts a line that is not a record: its length, and as much of its start as a record has.
    fn unexpected(&mut self, len: usize, start: &[u8]);
    /// Takes a line without a record, in a protocol that has such lines.
    fn without_record(&mut self, line: &[u8]);
    /// Takes a whole control frame.
    fn control(&mut self, opcode: u8, payload: &[u8]);
}

/// What a line of a protocol looks like.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Length of a record.
    size: usize,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// A line is a record and nothing else.
    Bare,
    /// A record is looked for in each line. `offset` is the number of bytes from what the finder finds to the record.
    Wrapped { finder: Finder<'static>, offset: usize },
    /// The same, and most lines are pushes of the Centrifuge protocol.
    Pushes { finder: Finder<'static> },
    /// There are no lines: a message is a list of replies, each after its length.
    /// `key` is what stands before most records.
    Protobuf { key: Box<[u8]> },
}

impl Shape {
    /// Returns the shape of `protocol`'s lines with records of `size` bytes.
    pub(crate) fn new(protocol: &Protocol, size: usize) -> Self {
        let finder = |needle: &[u8]| Finder::new(needle).into_owned();
        let kind = match (protocol.centrifuge(), protocol.marker()) {
            (Some(Format::Json), _) => Kind::Pushes { finder: finder(&MARKER) },
            (Some(Format::Protobuf), _) => Kind::Protobuf { key: centrifuge::data_key(size) },
            (None, None) => Kind::Bare,
            (None, Some("")) => Kind::Wrapped { finder: finder(&MARKER), offset: 0 },
            (None, Some(marker)) => Kind::Wrapped { finder: finder(marker.as_bytes()), offset: marker.len() },
        };
        Self { size, kind }
    }

    /// Whether lengths stand where other protocols have newlines.
    #[inline]
    pub(super) const fn has_lengths(&self) -> bool {
        matches!(self.kind, Kind::Protobuf { .. })
    }

    /// Returns the length of a record.
    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// Returns bytes of a line that are worth keeping.
    pub(super) const fn line_max(&self) -> usize {
        self.size + if matches!(self.kind, Kind::Bare) { 0 } else { WRAPPING_MAX }
    }

    /// Hands on the records at the start of `piece`, which begins a line, and returns the rest; nothing if the message
    /// ends with them, which it does after `piece` if that `is_last`.
    #[inline]
    pub(super) fn take<'a>(&self, piece: &'a [u8], is_last: bool, sink: &mut impl Sink) -> Option<&'a [u8]> {
        match &self.kind {
            Kind::Bare => {
                let cut = |piece: &'a [u8]| piece.split_at_checked(self.size).map(|(line, rest)| (&[][..], line, rest));
                whole_records(piece, is_last, cut, sink)
            }
            Kind::Pushes { .. } => {
                let cut = |piece| centrifuge::split_push(piece, MARKER[0], self.size);
                whole_records(piece, is_last, cut, sink)
            }
            Kind::Wrapped { .. } | Kind::Protobuf { .. } => Some(piece),
        }
    }

    /// Hands on a whole line of `len` bytes, or a whole reply, of which `line` is the start.
    pub(super) fn judge(&self, line: &[u8], len: usize, sink: &mut impl Sink) {
        match &self.kind {
            Kind::Bare if len == self.size && sink.record(line) => {}
            Kind::Bare => sink.unexpected(len, &line[..line.len().min(self.size)]),
            Kind::Wrapped { finder, offset } => self.search(line, finder, *offset, sink),
            Kind::Pushes { finder } => self.search(line, finder, 0, sink),
            Kind::Protobuf { .. } if line.len() < len => sink.unexpected(len, &line[..line.len().min(self.size)]),
            Kind::Protobuf { .. } => self.judge_reply(line, sink),
        }
    }

    /// Hands on everything in a whole message.
    pub(crate) fn judge_all(&self, message: &[u8], sink: &mut impl Sink) {
        if !self.has_lengths() {
            return message.split(|byte| *byte == b'\n').for_each(|line| self.judge(line, line.len(), sink));
        }
        let rest = self.take_replies(message, sink);
        if !rest.is_empty() {
            sink.unexpected(rest.len(), &rest[..rest.len().min(self.size)]);
        }
    }

    /// Looks for a record in a line.
    fn search(&self, line: &[u8], finder: &Finder<'_>, offset: usize, sink: &mut impl Sink) {
        let Some(at) = finder.find(line) else { return sink.without_record(line) };
        let rest = &line[(at + offset).min(line.len())..];
        match rest.split_at_checked(self.size) {
            None => sink.unexpected(rest.len(), rest),
            Some((record, _)) if !sink.record(record) => sink.unexpected(self.size, record),
            Some((_, after)) if finder.find(after).is_some() => sink.unexpected(rest.len(), after),
            Some(_) => sink.before(&line[..at]),
        }
    }

    /// Hands on the whole replies at the start of `piece`, which begins one, and returns the rest.
    ///
    /// # Hot path
    ///
    /// Once per delivery: the lengths around a record, and its own check.
    #[inline]
    pub(super) fn take_replies<'a>(&self, mut piece: &'a [u8], sink: &mut impl Sink) -> &'a [u8] {
        let key = if let Kind::Protobuf { key } = &self.kind { &**key } else { &[] };
        while let Ok((reply, rest)) = protobuf::delimited(piece) {
            match centrifuge::last_pushed(reply, key, self.size) {
                Some(record) if sink.record(record) => {}
                _ => self.judge_reply(reply, sink),
            }
            piece = rest;
        }
        piece
    }

    fn judge_reply(&self, reply: &[u8], sink: &mut impl Sink) {
        match centrifuge::pushed(reply) {
            Ok(Some(record)) if record.len() == self.size && sink.record(record) => {}
            Ok(Some(other)) => sink.unexpected(other.len(), &other[..other.len().min(self.size)]),
            Ok(None) => sink.without_record(reply),
            Err(_) => sink.unexpected(reply.len(), &reply[..reply.len().min(self.size)]),
        }
    }
}

/// Hands on the lines at the start of `piece` that `cut` knows: what stands before the record, the record, and what
/// follows the line. Returns the rest; nothing if the message ends with them.
///
/// # Hot path
///
/// Once per delivery: one look at the byte after the line, and the record's own check.
#[inline]
fn whole_records<'a>(
    mut piece: &'a [u8],
    is_last: bool,
    cut: impl Fn(&'a [u8]) -> Option<(&'a [u8], &'a [u8], &'a [u8])>,
    sink: &mut impl Sink,
) -> Option<&'a [u8]> {
    while let Some((before, record, after)) = cut(piece) {
        let rest = match after {
            [b'\n', rest @ ..] => Some(rest),
            // The last record of a message, or its only one, has no newline.
            [] if is_last => None,
            _ => break,
        };
        if !sink.record(record) {
            break;
        }
        if !before.is_empty() {
            sink.before(before);
        }
        piece = rest?;
    }
    Some(piece)
}
