//! What holds for the delta of any two texts.

use crate::protocol::fossil::{Cut, delta};

#[path = "../../../src/protocol/fossil/decoder.rs"]
#[expect(clippy::panic, reason = "that is how it fails")]
mod decoder;

/// Makes a target that has parts of the source, moved, repeated and changed: the bytes say which.
fn target(source: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut target = Vec::new();
    for piece in bytes.chunks(3) {
        match *piece {
            [kind, offset, len] if kind % 2 == 1 => {
                let start = usize::from(offset).min(source.len());
                target.extend_from_slice(&source[start..source.len().min(start + usize::from(len))]);
            }
            _ => target.extend_from_slice(piece),
        }
    }
    target
}

fn check_pair(source: &[u8], target: &[u8], cut: Cut) {
    let Some(delta) = delta(source, target, cut) else { return };
    assert!(delta.len() < target.len());
    assert_eq!(decoder::apply(source, &delta), target);
    assert!(cut == Cut::Anywhere || std::str::from_utf8(&delta).is_ok());
}

/// Reads the length of a source, the source, and what the target is made of.
///
/// # Panics
///
/// If the delta is not one of these texts.
pub fn check(bytes: &[u8]) {
    let (&len, bytes) = bytes.split_first().unwrap_or((&0, &[]));
    let (source, bytes) = bytes.split_at(bytes.len().min(usize::from(len)));
    let target = target(source, bytes);
    check_pair(source, &target, Cut::Anywhere);
    let [source, target] = [source, &target].map(String::from_utf8_lossy);
    check_pair(source.as_bytes(), target.as_bytes(), Cut::BetweenCharacters);
}
