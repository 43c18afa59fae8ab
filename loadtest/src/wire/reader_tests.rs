//! Tests of the reader: no cut of the stream changes what is found, and every break of the protocol is.

use super::*;

/// Writes down what a reader found. A "record" is a line of four bytes that does not start with `x`.
#[derive(Debug, Default, Eq, PartialEq)]
struct Found(Vec<String>);

impl Sink for Found {
    fn before(&mut self, _: &[u8]) {}

    fn record(&mut self, line: &[u8]) -> bool {
        let is_record = !line.starts_with(b"x") && !line.contains(&b'\n');
        if is_record {
            self.0.push(format!("record {}", line.escape_ascii()));
        }
        is_record
    }

    fn unexpected(&mut self, len: usize, start: &[u8]) {
        self.0.push(format!("unexpected {len} {}", start.escape_ascii()));
    }

    fn without_record(&mut self, line: &[u8]) {
        self.0.push(format!("other {}", line.escape_ascii()));
    }

    fn control(&mut self, opcode: u8, payload: &[u8]) {
        self.0.push(format!("control {opcode} {}", payload.escape_ascii()));
    }
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..=125 => frame.push(u8::try_from(len).unwrap()),
        len @ 126..=0xffff => {
            frame.push(126);
            frame.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        len => {
            frame.push(127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

fn read(pieces: &[&[u8]]) -> Result<Vec<String>, Violation> {
    let mut reader = Reader::default();
    let mut found = Found::default();
    for piece in pieces {
        reader.feed(piece, &Shape::new(&Protocol::Plain, 4), &mut found)?;
    }
    Ok(found.0)
}

/// A stream with everything in it: lines of several records, fragments that cut a line, controls between fragments, all
/// three lengths.
fn stream() -> Vec<u8> {
    let long = b"long\n".repeat(30);
    let huge = b"huge\n".repeat(14_000);
    [
        frame(0x81, b"aaaa"),
        frame(0x81, b"bbbb\ncccc"),
        frame(0x01, b"dd"),
        frame(0x89, b"ping"),
        frame(0x00, b""),
        frame(0x00, b"dd\nee"),
        frame(0x80, b"ee"),
        frame(0x81, b""),
        frame(0x82, b"ffff\n"),
        frame(0x81, b"joinjoin\nhal"),
        frame(0x81, b"f\nxbad\ngggg"),
        frame(0x81, &long[..149]),
        frame(0x81, &huge[..69_999]),
        frame(0x8a, b""),
        frame(0x88, b"\x03\xf0gone"),
    ]
    .concat()
}

#[test]
fn records_other_lines_and_unexpected_ones_are_distinguished() {
    let found = read(&[&stream()]).unwrap();
    let expected = [
        "record aaaa",
        "record bbbb",
        "record cccc",
        "control 9 ping",
        "record dddd",
        "record eeee",
        "unexpected 0 ",
        "record ffff",
        "unexpected 0 ",
        "unexpected 8 join",
        "unexpected 3 hal",
        "unexpected 1 f",
        "unexpected 4 xbad",
        "record gggg",
    ];
    assert_eq!(found[..expected.len()], expected);
    assert_eq!(found.iter().filter(|line| *line == "record long").count(), 30);
    assert_eq!(found.iter().filter(|line| *line == "record huge").count(), 14_000);
    assert_eq!(found[found.len() - 2..], ["control 10 ", "control 8 \\x03\\xf0gone"]);
}

#[test]
fn every_cut_in_two_gives_the_same() {
    let stream = stream();
    let whole = read(&[&stream]).unwrap();
    let near_the_end = stream.len() - 60..stream.len();
    for cut in (0..700).chain(near_the_end) {
        let (left, right) = stream.split_at(cut);
        assert!(read(&[left, right]).unwrap() == whole, "cut at {cut}");
    }
}

#[test]
fn every_piece_length_gives_the_same() {
    let stream = stream();
    let whole = read(&[&stream]).unwrap();
    for len in 1..80 {
        let pieces: Vec<&[u8]> = stream.chunks(len).collect();
        assert!(read(&pieces).unwrap() == whole, "pieces of {len}");
    }
}

/// A server that never ends a line must not fill the generator's memory.
#[test]
fn unfinished_line_holds_no_more_than_a_record() {
    let mut reader = Reader::default();
    let mut found = Found::default();
    for _ in 0..100 {
        reader
            .feed(
                &frame(if reader.in_message { 0x00 } else { 0x01 }, &[b'y'; 100]),
                &Shape::new(&Protocol::Plain, 4),
                &mut found,
            )
            .unwrap();
    }
    assert!(reader.line.capacity() <= 8);
    reader.feed(&frame(0x80, b""), &Shape::new(&Protocol::Plain, 4), &mut found).unwrap();
    assert_eq!(found.0, ["unexpected 10000 yyyy"]);
}

#[test]
fn broken_frames_are_refused() {
    assert_eq!(read(&[&[0x81, 0x84]]), Err(Violation::Masked));
    assert_eq!(read(&[&[0xc1, 0x04]]), Err(Violation::Reserved(0x40)));
    assert_eq!(read(&[&[0x83, 0x04]]), Err(Violation::Opcode(3)));
    assert_eq!(read(&[&[0x80, 0x04]]), Err(Violation::Opcode(0)), "a continuation of nothing");
    assert_eq!(
        read(&[&frame(0x01, b"a"), &frame(0x81, b"b")]),
        Err(Violation::Opcode(1)),
        "a message inside a message"
    );
    assert_eq!(read(&[&[0x09, 0x04]]), Err(Violation::Control), "a fragmented ping");
    assert_eq!(read(&[&frame(0x89, &[0; 126])]), Err(Violation::Control), "a long ping");
}

/// What is wrapped in JSON is found wherever the stream was cut, and lines without a record are handed on.
#[test]
fn wrapped_records_are_found_at_every_cut() {
    let stream = [
        frame(0x81, b"{\"id\":1}\n{\"pub\":\"@lt1\"}"),
        frame(0x01, b"{\"pub\":\"@l"),
        frame(0x80, b"t1\"}\n{}"),
        frame(0x81, b"{\"@lt1@lt1\"}"),
        frame(0x81, b"{\"@lt"),
    ]
    .concat();
    let shape = Shape::new(&Protocol::Centrifuge, 4);
    for cut in 0..stream.len() {
        let mut found = Found::default();
        let mut reader = Reader::default();
        reader.feed(&stream[..cut], &shape, &mut found).unwrap();
        reader.feed(&stream[cut..], &shape, &mut found).unwrap();
        let expected = [
            "other {\\\"id\\\":1}",
            "record @lt1",
            "record @lt1",
            "other {}",
            "record @lt1",
            "unexpected 10 @lt1\\\"}",
            "other {\\\"@lt",
        ];
        assert_eq!(found.0, expected, "cut at {cut}");
    }
}

/// A marker of the user shows where the record begins.
#[test]
fn record_after_a_marker_is_found() {
    let custom = crate::wire::protocol::Custom { marker: "data:".to_owned(), ..Default::default() };
    let mut found = Found::default();
    let shape = Shape::new(&Protocol::Custom(custom), 4);
    Reader::default().feed(&frame(0x81, b"MSG 7\r\ndata:abcd\r\ndata:ab"), &shape, &mut found).unwrap();
    assert_eq!(found.0, ["other MSG 7\\r", "record abcd", "unexpected 2 ab"]);
}
