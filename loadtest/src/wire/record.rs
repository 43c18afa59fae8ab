//! A record: the fixed-width ASCII message that proves its own delivery.
//!
//! ```text
//! @lt1 pppp ssssssss tttttttttttttttt cccccccc padding... $
//! 0    4    8        16               32       40         size-1
//! ```
//!
//! Without the spaces: marker, publisher (4 hex digits), sequence (8), intended send time in ns of the run's clock
//! (16), checksum of the first 32 bytes (8), padding, end mark. No byte needs escaping, and no byte is white space, so
//! a chat server that trims and splits lines must hand it on unchanged.
//!
//! # Hot path
//!
//! [`Format::decode`] runs once per delivery: four multiplications, one comparison of the padding, no allocation, no
//! branch per digit.

/// Bytes before the padding.
const HEAD: usize = 40;

/// The start of a record of version 1.
pub(crate) const MARKER: [u8; 4] = *b"@lt1";

/// The end of a record.
const END: u8 = b'$';

/// The shortest record: head and end mark.
pub(crate) const SIZE_MIN: usize = HEAD + 1;

/// The longest record. A chat message is far below, and 1 MiB times a few publishers still fits the send buffers.
pub(crate) const SIZE_MAX: usize = 1 << 20;

/// The contents of a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Record {
    pub(crate) publisher: u16,
    /// Counts from 0 per publisher, over the whole run.
    pub(crate) sequence: u32,
    /// When the schedule wanted it sent, which is not always when it was.
    pub(crate) intended_ns: u64,
}

/// The shape of all records of a run.
#[derive(Debug)]
pub(crate) struct Format {
    size: usize,
    /// Differs from run to run, so that the record of another run is corrupt here.
    seed: u64,
    /// Everything after the head. It never repeats within 36 bytes, so a shifted copy is seen.
    tail: Box<[u8]>,
}

impl Format {
    /// Returns the format of records of `size` bytes, which must be within [`SIZE_MIN`] and [`SIZE_MAX`].
    pub(crate) fn new(size: usize, seed: u64) -> Self {
        let padding = size.clamp(SIZE_MIN, SIZE_MAX) - SIZE_MIN;
        let alphabet = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let tail = alphabet.iter().copied().cycle().take(padding).chain([END]).collect();
        Self { size: SIZE_MIN + padding, seed, tail }
    }

    /// Returns bytes of a record.
    pub(crate) const fn size(&self) -> usize {
        self.size
    }

    /// Appends `record` to `out`.
    pub(crate) fn encode(&self, record: Record, out: &mut Vec<u8>) {
        let mut head = [0; 32];
        head[..4].copy_from_slice(&MARKER);
        head[4..8].copy_from_slice(&to_hex(u32::from(record.publisher))[4..]);
        head[8..16].copy_from_slice(&to_hex(record.sequence));
        let (high, low) = halves(record.intended_ns);
        head[16..24].copy_from_slice(&to_hex(high));
        head[24..].copy_from_slice(&to_hex(low));
        out.extend_from_slice(&head);
        out.extend_from_slice(&to_hex(checksum(self.seed, &head)));
        out.extend_from_slice(&self.tail);
    }

    /// Reads a record back, or nothing if any byte of it is not what [`Self::encode`] wrote.
    ///
    /// # Hot path
    ///
    /// Once per delivery. The checksum covers the raw digits, so they are decoded without a check of each.
    #[inline]
    pub(crate) fn decode(&self, line: &[u8]) -> Option<Record> {
        let (head, rest) = line.split_first_chunk::<32>()?;
        let (sum, tail) = rest.split_first_chunk::<8>()?;
        if *sum != to_hex(checksum(self.seed, head)) || *tail != *self.tail || head[..4] != MARKER {
            return None;
        }
        let (words, _) = head.as_chunks::<8>();
        // The marker's four "digits" stand above the publisher's and are cut off.
        let [.., high, low] = from_hex(words[0]).to_be_bytes();
        Some(Record {
            publisher: u16::from_be_bytes([high, low]),
            sequence: from_hex(words[1]),
            intended_ns: u64::from(from_hex(words[2])) << 32 | u64::from(from_hex(words[3])),
        })
    }
}

/// Cuts a word in two.
const fn halves(word: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = word.to_be_bytes();
    (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
}

/// Mixes the 32 raw bytes. The odd factors (digits of pi, golden ratio) make any change of one word change the sum.
#[inline]
fn checksum(seed: u64, head: &[u8; 32]) -> u32 {
    let (words, _) = head.as_chunks::<8>();
    let [a, b, c, d] = [words[0], words[1], words[2], words[3]].map(u64::from_le_bytes);
    let mixed = (a ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ b.wrapping_mul(0x2437_15b9_a5a3_08d3).rotate_left(17)
        ^ c.wrapping_mul(0x1319_8a2e_0370_7345).rotate_left(31)
        ^ d.wrapping_mul(0xa409_3822_299f_31d1).rotate_left(47);
    halves(mixed ^ mixed.rotate_left(32)).0
}

/// Spreads eight nibbles over eight bytes and turns them into digits, all at once.
#[inline]
const fn to_hex(value: u32) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let [a, b, c, d] = value.to_be_bytes();
    let mut x = u64::from_be_bytes([0, 0, 0, 0, a, b, c, d]);
    x = (x | x << 16) & 0x0000_ffff_0000_ffff;
    x = (x | x << 8) & 0x00ff_00ff_00ff_00ff;
    x = (x | x << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // A nibble above 9 becomes a letter, which stands 39 further on than the digits.
    let letters = (x + 6 * ONES) >> 4 & ONES;
    (x + 0x30 * ONES + letters * 39).to_be_bytes()
}

/// Returns the value of eight digits, the inverse of [`to_hex`].
#[inline]
const fn from_hex(digits: [u8; 8]) -> u32 {
    let word = u64::from_be_bytes(digits);
    let mut x = (word & 0x0f0f_0f0f_0f0f_0f0f) + 9 * (word >> 6 & 0x0101_0101_0101_0101);
    x = (x | x >> 4) & 0x00ff_00ff_00ff_00ff;
    x = (x | x >> 8) & 0x0000_ffff_0000_ffff;
    halves(x | x >> 16).1
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: Record = Record { publisher: 0x1a2f, sequence: 0x0bad_cafe, intended_ns: 0x0123_4567_89ab_cdef };

    fn encoded(size: usize) -> (Format, Vec<u8>) {
        let format = Format::new(size, 7);
        let mut line = Vec::new();
        format.encode(RECORD, &mut line);
        (format, line)
    }

    #[test]
    fn records_survive_the_round_trip_at_every_size() {
        for size in SIZE_MIN..200 {
            let (format, line) = encoded(size);
            assert_eq!(line.len(), size);
            assert!(line.iter().all(u8::is_ascii_graphic));
            assert_eq!(format.decode(&line), Some(RECORD));
        }
    }

    /// The text is documented, so a second implementation can read it.
    #[test]
    fn fields_stand_where_the_header_says() {
        let (_, line) = encoded(64);
        assert_eq!(&line[..32], b"@lt11a2f0badcafe0123456789abcdef");
        assert_eq!(&line[40..], b"abcdefghijklmnopqrstuvw$");
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let (format, line) = encoded(64);
        for bit in 0..line.len() * 8 {
            let mut bad = line.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(format.decode(&bad), None, "bit {bit}");
        }
    }

    #[test]
    fn cut_grown_and_foreign_records_are_refused() {
        let (format, line) = encoded(64);
        for len in 0..64 {
            assert_eq!(format.decode(&line[..len]), None);
        }
        assert_eq!(format.decode(&[&line[..], b"$"].concat()), None);
        assert_eq!(Format::new(64, 8).decode(&line), None, "a record of another run");
    }
}
