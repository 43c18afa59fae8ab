//! Tests of the reader: no cut of the stream changes what is found, and every break of the protocol is.

use super::*;
use crate::wire::protocol::Protocol;

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

/// Reads the same stream in one piece, cut in two everywhere, and byte by byte; all have to give the same.
fn read_at_every_cut(stream: &[u8], shape: &Shape) -> Vec<String> {
    let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let (mut reader, mut found) = (Reader::default(), Found::default());
        pieces.for_each(|piece| reader.feed(piece, shape, &mut found).unwrap());
        assert!(reader.line.is_empty(), "nothing is held after the last message");
        found.0
    };
    let whole = read(&mut std::iter::once(stream));
    for cut in 0..stream.len() {
        assert_eq!(read(&mut [&stream[..cut], &stream[cut..]].into_iter()), whole, "cut at {cut}");
    }
    assert_eq!(read(&mut stream.chunks(1)), whole, "byte by byte");
    whole
}

/// Pushes as throng and as Centrifugo write them, among other lines, alone and joined.
#[test]
fn pushes_in_json_are_found_at_every_cut() {
    let push = |record: &str| format!(r#"{{"push":{{"channel":"a","pub":{{"offset":7,"data":"{record}"}}}}}}"#);
    let join = r#"{"push":{"channel":"a","join":{}}}"#;
    let last = r#"{"push":{"channel":"a","pub":{"data":"@lt1d","offset":7}}}"#;
    let lines = [push("@lt1a"), join.to_owned(), push("@lt1b"), push("@lt1c"), last.to_owned(), "{}".to_owned()];
    let (first, second) = (push("@lt1e"), push("@lt1"));
    let stream = [
        frame(0x81, lines.join("\n").as_bytes()),
        frame(0x81, first.as_bytes()),
        frame(0x81, second.as_bytes()),
        frame(0x01, &first.as_bytes()[..20]),
        frame(0x80, &first.as_bytes()[20..]),
    ]
    .concat();
    let found = read_at_every_cut(&stream, &Shape::new(&Protocol::Centrifuge, 5));
    let other = |line: &str| format!("other {}", line.escape_default());
    let expected =
        ["record @lt1a", &other(join), "record @lt1b", "record @lt1c", "record @lt1d", "other {}", "record @lt1e"];
    assert_eq!(found[..7], expected);
    assert_eq!(
        found[7..],
        ["record @lt1\\\"", "record @lt1e"],
        "a short record is not of this run: its checksum shows it"
    );
}

/// Replies of Protobuf contain bytes that are newlines elsewhere, and end where their lengths say.
#[test]
fn replies_in_protobuf_are_found_at_every_cut() {
    // A push of channel "\n", to which a text of four, three or five bytes was published.
    let push = |text: &str| {
        let len = u8::try_from(text.len()).unwrap();
        let publication = [&[0x30, 10, 0x22, len + 2, b'"'], text.as_bytes(), b"\""].concat();
        let inner = u8::try_from(publication.len()).unwrap();
        [&[inner + 7, 0x22, inner + 5, 0x12, 1, b'\n', 0x22, inner], &publication[..]].concat()
    };
    let connected = b"\x07\x08\x01\x2a\x03\x0a\x01x";
    let everything = [push("@lt1"), connected.to_vec(), vec![0], push("@lt2"), push("@lt"), push("@lt3!")].concat();
    let stream = [
        frame(0x82, &everything),
        frame(0x02, &push("@lt4")[..9]),
        frame(0x80, &push("@lt4")[9..]),
        // It ends before the reply does; it is no reply; its length is none.
        frame(0x82, &push("@lt5")[..12]),
        frame(0x82, b"\x02\x22\x7f"),
        frame(0x82, &[0xff; 12]),
        frame(0x82, &push("@lt6")),
    ]
    .concat();
    let found = read_at_every_cut(&stream, &Shape::new(&Protocol::CentrifugeProtobuf, 4));
    let expected = [
        "record @lt1",
        "other \\x08\\x01*\\x03\\n\\x01x",
        "other ",
        "record @lt2",
        "unexpected 3 @lt",
        "unexpected 5 @lt3",
        "record @lt4",
        r#"unexpected 12 \x11\"\x0f\x12"#,
        r#"unexpected 2 \"\x7f"#,
        "unexpected 12 \\xff\\xff\\xff\\xff",
        "record @lt6",
    ];
    assert_eq!(found, expected);
}

/// A length that promises more than there will ever be holds no more than a line does.
#[test]
fn endless_reply_holds_no_more_than_a_line() {
    let shape = Shape::new(&Protocol::CentrifugeProtobuf, 4);
    let (mut reader, mut found) = (Reader::default(), Found::default());
    reader.feed(&frame(0x02, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), &shape, &mut found).unwrap();
    for _ in 0..100 {
        reader.feed(&frame(0x00, &[b'y'; 1000]), &shape, &mut found).unwrap();
    }
    assert!(reader.line.capacity() <= 2 * shape.line_max());
    reader.feed(&frame(0x80, b""), &shape, &mut found).unwrap();
    assert_eq!(found.0, [r"unexpected 100010 \xff\xff\xff\xff"]);
}
