//! The decoder of deltas, for tests: written from the description of the format, and from nothing that writes deltas.

const DIGITS: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";

/// Reads a number up to the operator that ends it, which is returned too.
fn read(delta: &mut &[u8]) -> (usize, u8) {
    let mut number = 0;
    loop {
        let (&byte, rest) = delta.split_first().expect("an operator ends a number");
        *delta = rest;
        match DIGITS.find(char::from(byte)) {
            Some(digit) => number = number << 6 | digit,
            None => return (number, byte),
        }
    }
}

/// Adds up the bytes as numbers of four, the last of which is filled with zeros.
fn checksum(bytes: &[u8]) -> u32 {
    let at = |index: usize, byte: u8| u32::from(byte) << (24 - index % 4 * 8);
    bytes.iter().enumerate().map(|(index, byte)| at(index, *byte)).fold(0, u32::wrapping_add)
}

/// Applies a delta. Panics if it is none.
pub(crate) fn apply(source: &[u8], mut delta: &[u8]) -> Vec<u8> {
    let (len, newline) = read(&mut delta);
    assert_eq!(newline, b'\n');
    let mut target = Vec::new();
    loop {
        match read(&mut delta) {
            (count, b'@') => {
                let (offset, comma) = read(&mut delta);
                assert_eq!(comma, b',');
                target.extend_from_slice(&source[offset..offset + count]);
            }
            (count, b':') => {
                target.extend_from_slice(&delta[..count]);
                delta = &delta[count..];
            }
            (sum, b';') => {
                assert_eq!((sum, len, delta.len()), (checksum(&target) as usize, target.len(), 0));
                return target;
            }
            other => panic!("{other:?}"),
        }
    }
}
