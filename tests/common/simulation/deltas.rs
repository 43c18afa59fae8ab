//! Deltas as a simulated client reads them: publications are made whole again, by the description of the format.

use std::collections::HashMap;

const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";

/// What a client has of the newest publication of each of its channels.
#[derive(Debug, Default)]
pub(super) struct Chains {
    known: HashMap<String, Vec<u8>>,
    /// Publications that came as deltas.
    pub(super) deltas: usize,
}

impl Chains {
    /// Returns the data of the next publication to a channel.
    pub(super) fn whole(&mut self, channel: &str, data: &[u8], is_delta: bool) -> Vec<u8> {
        self.deltas += usize::from(is_delta);
        let known = self.known.entry(channel.to_owned()).or_default();
        *known = if is_delta { apply(known, data) } else { data.to_vec() };
        known.clone()
    }
}

/// Reads a number, and the operator after it.
fn read(delta: &mut &[u8]) -> (usize, u8) {
    let end = delta.iter().position(|byte| !DIGITS.contains(byte)).unwrap();
    let digit = |byte: &u8| DIGITS.iter().position(|digit| digit == byte).unwrap();
    let number = delta[..end].iter().fold(0, |number, byte| number << 6 | digit(byte));
    let operator = delta[end];
    *delta = &delta[end + 1..];
    (number, operator)
}

fn apply(source: &[u8], mut delta: &[u8]) -> Vec<u8> {
    let (len, _) = read(&mut delta);
    let mut target = Vec::new();
    loop {
        match read(&mut delta) {
            (count, b'@') => {
                let (offset, _) = read(&mut delta);
                target.extend_from_slice(&source[offset..offset + count]);
            }
            (count, b':') => {
                target.extend_from_slice(&delta[..count]);
                delta = &delta[count..];
            }
            (sum, b';') => {
                let words = target.chunks(4).map(|word| {
                    let mut filled = [0; 4];
                    filled[..word.len()].copy_from_slice(word);
                    u32::from_be_bytes(filled)
                });
                assert_eq!((sum, len), (words.fold(0, u32::wrapping_add) as usize, target.len()), "the checksum");
                return target;
            }
            other => panic!("not a delta: {other:?}"),
        }
    }
}
