//! A log: one shard's window of the encoded publications of one channel, and the numbers of its bytes.
//!
//! Positions count bytes since the log was created and never decrease, so a cursor is a number, its lag a subtraction,
//! and a lagging subscriber costs only the bytes it still has to get, which all lagging subscribers share.
//!
//! # Memory
//!
//! Small publications are copied into chunks, large ones are shared with the other shards. When every subscriber has
//! everything, the log keeps at most one chunk of 4 KiB.
//!
//! # Invariants
//!
//! - `tail <= every cursor <= head`, and all of them are message edges.
//! - A publication spans chunks only when it is shared and something stands before or after it, which is in the chunks
//!   next to it.

pub use crate::protocol::encoding::WINDOW_MAX;
use bytes::Bytes;
use std::collections::VecDeque;

/// Largest chunk in bytes: a coalesced message of 64 KiB is at most a handful of slices.
const CHUNK_MAX: usize = 16 * 1024;

/// First chunk of a burst in bytes; each next one is twice as large. A lone message needs no more.
const CHUNK_MIN: usize = 1024;

/// Largest chunk in bytes that an empty log keeps, to spare an allocation per message.
const KEPT_MAX: usize = 4 * 1024;

/// Publications of at least this many bytes are shared, not copied: a copy of 4 KiB costs about what sharing does.
const SHARED_MIN: usize = 4 * 1024;

/// A window of encoded publications.
#[derive(Debug, Default)]
pub struct Log {
    chunks: VecDeque<Chunk>,
    /// End of each message that is still here.
    ends: VecDeque<u64>,
    /// Ends of those that are no publications.
    notices: VecDeque<u64>,
    tail: u64,
    head: u64,
}

#[derive(Debug)]
struct Chunk {
    /// Position of the first byte.
    start: u64,
    bytes: ChunkBytes,
}

#[derive(Debug)]
enum ChunkBytes {
    Owned(Vec<u8>),
    Shared(Bytes),
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match &self.bytes {
            ChunkBytes::Owned(bytes) => bytes,
            ChunkBytes::Shared(bytes) => bytes,
        }
    }

    fn end(&self) -> u64 {
        self.start + self.bytes().len() as u64
    }
}

impl Log {
    /// Returns the end of the newest publication.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Returns the position of the oldest byte that is still here.
    pub fn tail(&self) -> u64 {
        self.tail
    }

    /// Returns the number of bytes that are still here.
    pub fn len(&self) -> u64 {
        self.head - self.tail
    }

    /// Returns whether every publication was trimmed.
    pub fn is_empty(&self) -> bool {
        self.head == self.tail
    }

    /// Appends an encoded publication.
    ///
    /// # Hot path
    ///
    /// Once per publication and shard: a copy, and an allocation per chunk. See `benches/log.rs`.
    pub fn push(&mut self, body: &Bytes) {
        if body.len() >= SHARED_MIN {
            self.chunks.push_back(Chunk { start: self.head, bytes: ChunkBytes::Shared(body.clone()) });
        } else {
            self.push_copy(body);
        }
        self.head += body.len() as u64;
        self.ends.push_back(self.head);
    }

    /// Appends a message of the hub itself, which is no publication.
    pub fn push_notice(&mut self, body: &[u8]) {
        self.push_copy(body);
        self.head += body.len() as u64;
        self.ends.push_back(self.head);
        self.notices.push_back(self.head);
    }

    /// Appends an encoded publication whose body has a prefix.
    ///
    /// # Hot path
    ///
    /// As [`Log::push`].
    #[inline(never)]
    pub fn push_framed(&mut self, prefix: &[u8], body: &Bytes) {
        if !prefix.is_empty() {
            self.push_copy(prefix);
            self.head += prefix.len() as u64;
        }
        self.push(body);
    }

    /// Appends an encoded publication whose data stands between two parts: after `prefix`, which ends up with all of a
    /// small one, and before `suffix`.
    ///
    /// # Hot path
    ///
    /// As [`Log::push`].
    #[inline(never)]
    pub fn push_parts(&mut self, mut prefix: Vec<u8>, data: &Bytes, suffix: &[u8]) {
        if data.len() < SHARED_MIN {
            prefix.extend_from_slice(data);
            prefix.extend_from_slice(suffix);
            self.push_part(&prefix);
        } else {
            self.push_part(&prefix);
            self.chunks.push_back(Chunk { start: self.head, bytes: ChunkBytes::Shared(data.clone()) });
            self.head += data.len() as u64;
            self.push_part(suffix);
        }
        self.ends.push_back(self.head);
    }

    fn push_part(&mut self, part: &[u8]) {
        if !part.is_empty() {
            self.push_copy(part);
            self.head += part.len() as u64;
        }
    }

    #[inline(always)]
    fn push_copy(&mut self, body: &[u8]) {
        let mut capacity = CHUNK_MIN;
        if let Some(Chunk { bytes: ChunkBytes::Owned(bytes), .. }) = self.chunks.back_mut() {
            if bytes.len() + body.len() <= bytes.capacity() {
                bytes.extend_from_slice(body);
                return;
            }
            capacity = (bytes.capacity() * 2).min(CHUNK_MAX);
        }
        let mut bytes = Vec::with_capacity(capacity.max(body.len()));
        bytes.extend_from_slice(body);
        self.chunks.push_back(Chunk { start: self.head, bytes: ChunkBytes::Owned(bytes) });
    }

    /// Returns the end of what may leave from `cursor` in one message: everything, cut at a message edge when that is
    /// more than [`WINDOW_MAX`], but at least one publication.
    pub fn window_end(&self, cursor: u64) -> u64 {
        if self.head - cursor <= WINDOW_MAX {
            return self.head;
        }
        let fitting = self.ends.partition_point(|end| *end <= cursor + WINDOW_MAX);
        match fitting.checked_sub(1).map(|last| self.ends[last]) {
            Some(end) if end > cursor => end,
            _ => self.ends[fitting],
        }
    }

    /// Returns the number of publications in `from..to`, both message edges.
    pub fn publications_between(&self, from: u64, to: u64) -> usize {
        let between =
            |ends: &VecDeque<u64>| ends.partition_point(|end| *end <= to) - ends.partition_point(|end| *end <= from);
        between(&self.ends) - between(&self.notices)
    }

    /// Returns whether there is a message after `from` that is no publication.
    pub fn has_notices_after(&self, from: u64) -> bool {
        self.notices.back().is_some_and(|end| *end > from)
    }

    /// Returns the ends of the publications in `from..to`, both message edges.
    pub fn ends_between(&self, from: u64, to: u64) -> impl Iterator<Item = u64> {
        let first = self.ends.partition_point(|end| *end <= from);
        self.ends.range(first..).copied().take_while(move |end| *end <= to)
    }

    /// Returns the bytes of `from..to` as slices, one per chunk.
    pub fn slices(&self, from: u64, to: u64) -> impl Iterator<Item = &[u8]> {
        debug_assert!(self.tail <= from && to <= self.head, "cursors stand inside the log");
        let first = self.chunks.partition_point(|chunk| chunk.end() <= from);
        self.chunks.range(first..).take_while(move |chunk| chunk.start < to).map(move |chunk| {
            let bytes = chunk.bytes();
            let skipped = position(from.saturating_sub(chunk.start));
            let kept = bytes.len().min(position(to - chunk.start));
            &bytes[skipped..kept]
        })
    }

    /// Removes what is before `cursor`, the least of all cursors.
    pub fn trim(&mut self, cursor: u64) {
        debug_assert!(self.tail <= cursor && cursor <= self.head, "cursors stand inside the log");
        if cursor == self.head {
            self.clear();
            return;
        }
        while self.chunks.front().is_some_and(|chunk| chunk.end() <= cursor) {
            self.chunks.pop_front();
        }
        let gone = self.ends.partition_point(|end| *end <= cursor);
        self.ends.drain(..gone);
        let gone = self.notices.partition_point(|end| *end <= cursor);
        self.notices.drain(..gone);
        self.tail = cursor;
    }

    fn clear(&mut self) {
        self.tail = self.head;
        self.ends.clear();
        self.notices.clear();
        // Memory that only a burst needed is given back.
        self.ends.shrink_to(KEPT_MAX / size_of::<u64>());
        self.chunks.truncate(1);
        let is_kept = match self.chunks.front_mut() {
            Some(Chunk { start, bytes: ChunkBytes::Owned(bytes) }) if bytes.capacity() <= KEPT_MAX => {
                bytes.clear();
                *start = self.head;
                true
            }
            Some(_) | None => false,
        };
        if !is_kept {
            self.chunks = VecDeque::new();
        }
    }
}

/// Narrows a distance inside one chunk.
#[expect(clippy::cast_possible_truncation, reason = "a chunk is in memory, so its length fits usize")]
fn position(distance: u64) -> usize {
    distance as usize
}
