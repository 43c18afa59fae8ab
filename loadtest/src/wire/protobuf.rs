//! Protobuf: the few parts of its wire format that messages of the Centrifuge protocol have.
//!
//! A second implementation, so that the generator cannot share a fault of the hub's library.

use thiserror::Error;

/// Most bytes of an integer.
const VARINT_MAX: usize = 10;

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("malformed Protobuf")]
pub(super) struct Malformed;

/// Reads an integer and returns it with what follows it.
#[inline]
pub(super) fn varint(bytes: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    match bytes {
        [byte @ 0..0x80, rest @ ..] => Ok((u64::from(*byte), rest)),
        _ => long_varint(bytes),
    }
}

fn long_varint(bytes: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let len = 1 + bytes.iter().take(VARINT_MAX).position(|byte| *byte < 0x80).ok_or(Malformed)?;
    let (digits, rest) = bytes.split_at(len);
    Ok((digits.iter().rev().fold(0, |number, byte| number << 7 | u64::from(byte & 0x7f)), rest))
}

/// Cuts off a length and as many bytes, and returns these with what follows them.
#[inline]
pub(super) fn delimited(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (len, rest) = varint(bytes)?;
    usize::try_from(len).ok().and_then(|len| rest.split_at_checked(len)).ok_or(Malformed)
}

/// Returns the key of a field below 16 whose value has a length.
pub(super) const fn key(field: u8) -> u8 {
    field << 3 | 2
}

/// Returns the bytes of the field of this number, and reads on to the end of the message.
#[inline]
pub(super) fn field(message: &[u8], number: u8) -> Result<Option<&[u8]>, Malformed> {
    let (mut rest, mut found) = (message, None);
    while !rest.is_empty() {
        let (key, value) = varint(rest)?;
        rest = match key & 7 {
            0 => varint(value)?.1,
            1 => value.get(8..).ok_or(Malformed)?,
            2 => {
                let (value, rest) = delimited(value)?;
                if key >> 3 == u64::from(number) {
                    found = Some(value);
                }
                rest
            }
            5 => value.get(4..).ok_or(Malformed)?,
            _ => return Err(Malformed),
        };
    }
    Ok(found)
}

/// Returns the integer of a message that begins with its field 1; 0 if there is none.
pub(super) fn first_number(message: &[u8]) -> u64 {
    message.strip_prefix(&[1 << 3]).and_then(|value| varint(value).ok()).map_or(0, |(number, _)| number)
}

/// Appends an integer.
pub(super) fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push((number & 0x7f) as u8);
}

/// Appends a field whose value is an integer.
pub(super) fn put_number(field: u8, number: u64, out: &mut Vec<u8>) {
    put_varint(u64::from(field) << 3, out);
    put_varint(number, out);
}

/// Appends a field whose value has a length.
pub(super) fn put(field: u8, value: &[u8], out: &mut Vec<u8>) {
    put_varint(u64::from(field) << 3 | 2, out);
    put_delimited(value, out);
}

/// Appends a length and as many bytes.
pub(super) fn put_delimited(bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the documentation of Protobuf.
    #[test]
    fn integers_are_as_documented() {
        assert_eq!(varint(&[0x96, 0x01, 7]), Ok((150, &[7][..])));
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            put_varint(number, &mut out);
            assert_eq!(varint(&out), Ok((number, &[][..])));
        }
        assert_eq!(varint(&[]), Err(Malformed));
        assert_eq!(varint(&[0x80]), Err(Malformed));
        assert_eq!(varint(&[0xff; 11]), Err(Malformed));
    }

    #[test]
    fn field_is_found_among_others_of_every_kind() {
        let mut message = vec![1 << 3 | 1, 1, 2, 3, 4, 5, 6, 7, 8, 2 << 3 | 5, 1, 2, 3, 4];
        put_number(3, 300, &mut message);
        put(4, b"four", &mut message);
        put(20, b"", &mut message);
        assert_eq!(field(&message, 4), Ok(Some(&b"four"[..])));
        assert_eq!(field(&message, 20), Ok(Some(&b""[..])));
        assert_eq!(field(&message, 3), Ok(None), "its value has no length");
        // Shorter by any number of bytes it is a shorter message, or none: never another value.
        for len in 0..message.len() {
            assert!(matches!(field(&message[..len], 4), Err(Malformed) | Ok(None | Some(b"four"))), "{len}");
        }
        assert_eq!(field(&[7], 4), Err(Malformed), "an unknown kind of field");
    }
}
