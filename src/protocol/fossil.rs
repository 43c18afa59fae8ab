//! Deltas in the format of the version control system Fossil: one text as what has changed since another.
//!
//! A delta is the length of its target and a newline, then copies from the source (`COUNT@OFFSET,`) and inserts
//! (`COUNT:BYTES`), then a checksum of the target (`SUM;`). Numbers have the base 64. See
//! <https://fossil-scm.org/home/doc/tip/www/delta_format.wiki>. The crates that write it are old and panic on some
//! inputs; only half of the format is needed here, because clients read it.
//!
//! # Cost
//!
//! Linear in both lengths, whatever they hold: each byte of the target is compared with at most two places of the
//! source. The table of places takes a quarter to a half of the source.

const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";

/// Bytes that are looked up together: shorter pieces are hardly worth a copy.
const BLOCK: usize = 8;

/// A copy of fewer bytes saves nothing: it costs up to five for itself and two to begin the insert after it.
const COPY_MIN: usize = 8;

/// What the bytes of a delta may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cut {
    /// Text: the target is UTF-8, and so is its delta.
    BetweenCharacters,
    /// Anything.
    Anywhere,
}

/// Returns the delta that makes `target` of `source`; `None` if it is not shorter than the target.
pub fn delta(source: &[u8], target: &[u8], cut: Cut) -> Option<Vec<u8>> {
    let prefix = common_prefix(source, target);
    let suffix = common_suffix(&source[prefix..], &target[prefix..]);
    let mut writer = Writer { target, cut, inserted: 0, out: Vec::new() };
    number(target.len(), &mut writer.out);
    writer.out.push(b'\n');
    writer.copy(Piece { source: 0, target: 0, len: prefix });
    writer.find_copies(source, prefix, target.len() - suffix)?;
    writer.copy(Piece { source: source.len() - suffix, target: target.len() - suffix, len: suffix });
    writer.insert_until(target.len());
    number(checksum(target) as usize, &mut writer.out);
    writer.out.push(b';');
    Some(writer.out).filter(|delta| delta.len() < target.len())
}

/// Bytes that both have.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// Where they begin in the source.
    source: usize,
    /// Where they begin in the target.
    target: usize,
    len: usize,
}

/// A delta under way.
struct Writer<'a> {
    target: &'a [u8],
    cut: Cut,
    /// Up to here the target is written.
    inserted: usize,
    out: Vec<u8>,
}

impl Writer<'_> {
    /// Finds what of the target's `from..to` is in the source. Returns nothing once the delta cannot be short any more.
    fn find_copies(&mut self, source: &[u8], from: usize, to: usize) -> Option<()> {
        let (target, mut at) = (self.target, from);
        let blocks = if to - from < BLOCK { Blocks::default() } else { Blocks::new(source) };
        // Where the source would go on if what is inserted replaces as much of it.
        let mut shift = Some((from, from));
        while at + BLOCK <= to {
            let known = blocks.find(source, &target[at..at + BLOCK]);
            let beside = shift.and_then(|(source, target)| source.checked_add(at - target));
            let found = [known, beside].into_iter().flatten().map(|place| self.piece(source, place, at, to));
            let Some(piece) = found.max_by_key(|piece| piece.len).filter(|piece| piece.len >= COPY_MIN) else {
                at += 1;
                continue;
            };
            if !self.copy(piece) {
                // Or the same piece would be found again, for ever.
                at += 1;
                continue;
            }
            at = piece.target + piece.len;
            shift = Some((piece.source + piece.len, at));
            if self.out.len() >= target.len() {
                return None;
            }
        }
        Some(())
    }

    /// Returns what source and target have in common around two places, as far as it is not written yet.
    fn piece(&self, source: &[u8], at_source: usize, at_target: usize, to: usize) -> Piece {
        let Some(rest) = source.get(at_source..) else { return Piece { source: 0, target: at_target, len: 0 } };
        let after = common_prefix(rest, &self.target[at_target..to]);
        let before = common_suffix(&source[..at_source], &self.target[self.inserted..at_target]);
        Piece { source: at_source - before, target: at_target - before, len: before + after }
    }

    /// Copies a piece, after what stands before it. Returns whether it was worth it.
    fn copy(&mut self, piece: Piece) -> bool {
        let Piece { source, target, len } = self.whole_characters(piece);
        if len < COPY_MIN {
            return false;
        }
        self.insert_until(target);
        number(len, &mut self.out);
        self.out.push(b'@');
        number(source, &mut self.out);
        self.out.push(b',');
        self.inserted = target + len;
        true
    }

    /// Leaves out the rest of a character at either end.
    fn whole_characters(&self, mut piece: Piece) -> Piece {
        let is_inside = |at: usize| self.target.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
        if self.cut == Cut::BetweenCharacters {
            while piece.len > 0 && is_inside(piece.target) {
                piece = Piece { source: piece.source + 1, target: piece.target + 1, len: piece.len - 1 };
            }
            while piece.len > 0 && is_inside(piece.target + piece.len) {
                piece.len -= 1;
            }
        }
        piece
    }

    fn insert_until(&mut self, end: usize) {
        let bytes = &self.target[self.inserted..end];
        if !bytes.is_empty() {
            number(bytes.len(), &mut self.out);
            self.out.push(b':');
            self.out.extend_from_slice(bytes);
        }
        self.inserted = end;
    }
}

/// Where blocks of a source are, the first of those that share a place of the table.
#[derive(Debug, Default)]
struct Blocks {
    /// Number of a block and one; 0 for none. The length is a power of two.
    places: Vec<u32>,
}

impl Blocks {
    fn new(source: &[u8]) -> Self {
        let mut blocks = Self { places: vec![0; (source.len() / BLOCK).next_power_of_two()] };
        for (number, block) in (1..=u32::MAX).zip(source.chunks_exact(BLOCK)) {
            let place = blocks.place(block);
            if blocks.places[place] == 0 {
                blocks.places[place] = number;
            }
        }
        blocks
    }

    /// Returns where the source has these bytes, if the table knows.
    fn find(&self, source: &[u8], block: &[u8]) -> Option<usize> {
        let number = *self.places.get(self.place(block))?;
        let at = (number.checked_sub(1)? as usize) * BLOCK;
        (source[at..at + BLOCK] == *block).then_some(at)
    }

    fn place(&self, block: &[u8]) -> usize {
        let number = block.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        // A multiplicative hash: the high bits depend on all bytes.
        (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & (self.places.len().max(1) - 1)
    }
}

fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

fn common_suffix(one: &[u8], other: &[u8]) -> usize {
    one.iter().rev().zip(other.iter().rev()).take_while(|(one, other)| one == other).count()
}

/// Appends a number without leading zeros.
fn number(number: usize, out: &mut Vec<u8>) {
    let mut shift = number.max(1).ilog2() / 6 * 6;
    loop {
        out.push(DIGITS[number >> shift & 63]);
        if shift == 0 {
            return;
        }
        shift -= 6;
    }
}

/// Returns the sum of the big-endian numbers of four bytes each, the last of which is filled up with zeros.
fn checksum(bytes: &[u8]) -> u32 {
    let word = |word: &[u8]| {
        let mut filled = [0; 4];
        filled[..word.len()].copy_from_slice(word);
        u32::from_be_bytes(filled)
    };
    bytes.chunks(4).map(word).fold(0, u32::wrapping_add)
}

#[cfg(test)]
mod decoder;

#[cfg(test)]
mod tests {
    use super::decoder::apply;
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// The example of the format's description, and checksums by hand.
    #[test]
    fn numbers_and_checksums_are_those_of_the_format() {
        for (value, text) in [(0, "0"), (1, "1"), (63, "~"), (64, "10"), (6246, "1Xb"), (u32::MAX as usize, "3~~~~~")] {
            let mut out = Vec::new();
            number(value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
        assert_eq!(checksum(b""), 0);
        assert_eq!(checksum(b"\x01\x02\x03\x04\x05"), 0x0602_0304);
        assert_eq!(checksum(&[0xff; 8]), 0xffff_fffe);
    }

    #[test]
    fn one_change_costs_a_few_bytes() {
        let before = br#"{"home":"Alpha","away":"Beta","score":[0,0],"minute":44,"events":["kick-off"]}"#;
        let after = br#"{"home":"Alpha","away":"Beta","score":[1,0],"minute":44,"events":["kick-off"]}"#;
        let delta = delta(before, after, Cut::BetweenCharacters).unwrap();
        assert_eq!(String::from_utf8(delta.clone()).unwrap(), "1E\nc@0,1:1b@d,3tfrmR;");
        assert_eq!(apply(before, &delta), after);
        // Nothing has changed.
        let same = super::delta(before, before, Cut::BetweenCharacters).unwrap();
        assert_eq!((same.len(), apply(before, &same)), (15, before.to_vec()));
    }

    #[test]
    fn moved_parts_are_found_wherever_they_are() {
        let parts = ["the first part of many; ", "the second, which is not the last; ", "and a third"];
        let before = parts.concat();
        let after = [parts[1], "something new. ", parts[0], parts[2], parts[0]].concat();
        let delta = delta(before.as_bytes(), after.as_bytes(), Cut::BetweenCharacters).unwrap();
        assert!(delta.len() < 60, "{}", delta.escape_ascii());
        assert_eq!(apply(before.as_bytes(), &delta), after.as_bytes());
    }

    #[test]
    fn what_has_nothing_in_common_is_not_a_delta() {
        for (source, target) in [(&b""[..], &b""[..]), (b"", b"something"), (b"abcdefgh", b"x"), (b"abc", b"abcd")] {
            assert_eq!(delta(source, target, Cut::Anywhere), None, "{source:?} {target:?}");
        }
    }

    /// In JSON a delta is a string: half a character in it would arrive as another.
    #[test]
    fn text_is_cut_between_its_characters() {
        // Characters whose first bytes are equal, and ones whose last bytes are.
        let (before, after) = ("a common start \u{e9} a common end", "a common start \u{e8} a common end");
        let text = delta(before.as_bytes(), after.as_bytes(), Cut::BetweenCharacters).unwrap();
        assert!(String::from_utf8(text.clone()).unwrap().contains('\u{e8}'));
        assert_eq!(apply(before.as_bytes(), &text), after.as_bytes());
        let bytes = delta(before.as_bytes(), after.as_bytes(), Cut::Anywhere).unwrap();
        assert!(String::from_utf8(bytes.clone()).is_err(), "the test has to meet the danger");
        assert_eq!(apply(before.as_bytes(), &bytes), after.as_bytes());
    }

    /// Eight bytes that are in both and begin inside a character, of which six are left: less than is worth a copy.
    #[test]
    fn piece_that_is_too_short_without_half_a_character_is_left_behind() {
        // The first characters differ in their first byte only.
        let (source, target) = ("0123456\u{4e16}\u{754c}\u{548c}!", "\u{5e16}\u{754c}\u{548c} and nothing in common");
        assert_eq!(delta(source.as_bytes(), target.as_bytes(), Cut::BetweenCharacters), None);
    }

    /// A publisher chooses the bytes: the worst of them take no more comparisons than any others.
    #[test]
    fn repetition_is_short_and_quick() {
        let (source, target) =
            (vec![b'x'; 1 << 20], [vec![b'x'; 1 << 19], b"y".to_vec(), vec![b'x'; 1 << 20]].concat());
        let delta = delta(&source, &target, Cut::Anywhere).unwrap();
        assert!(delta.len() < 64, "{}", delta.escape_ascii());
        assert_eq!(apply(&source, &delta), target);
    }

    /// Texts that have much in common, and few letters, so that wrong places look right.
    fn alike() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
        let part =
            || prop_oneof![vec(any::<u8>(), 0..40), vec(0..3_u8, 0..80), "[ab\u{e8}\u{e9}]{0,30}".prop_map(Into::into)];
        (vec(part(), 1..8), vec(0..8_usize, 0..12), part()).prop_map(|(parts, order, new)| {
            let chosen = order.iter().map(|at| parts.get(*at).unwrap_or(&new).as_slice());
            (parts.concat(), chosen.collect::<Vec<_>>().concat())
        })
    }

    proptest! {
        #[test]
        fn any_target_is_made_of_any_source((source, target) in alike()) {
            if let Some(delta) = delta(&source, &target, Cut::Anywhere) {
                prop_assert!(delta.len() < target.len());
                prop_assert_eq!(apply(&source, &delta), target);
            }
        }

        #[test]
        fn delta_of_text_is_text(
            before in "[ab\u{e8}\u{e9}\u{20ac}\u{1f600} ]{0,200}", at in 0..200_usize, new in "\\PC{0,9}",
        ) {
            let at = before.char_indices().map(|(at, _)| at).nth(at).unwrap_or(before.len());
            let after = format!("{}{new}{}", &before[..at], &before[at..]);
            if let Some(delta) = delta(before.as_bytes(), after.as_bytes(), Cut::BetweenCharacters) {
                prop_assert!(std::str::from_utf8(&delta).is_ok());
                prop_assert_eq!(apply(before.as_bytes(), &delta), after.into_bytes());
            }
        }
    }
}
