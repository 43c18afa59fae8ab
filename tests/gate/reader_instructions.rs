//! How many instructions does the generator spend on a delivery, in each protocol that it reads by the million?
//!
//! As `benches/instructions.rs` of the hub: `tests/instructions.sh` runs one case at a time under callgrind, which
//! counts what happens inside [`counted`]. Run by itself it only checks what each case does. Not measured: the kernel,
//! the histogram.

#[expect(dead_code, reason = "the generator uses all of it")]
#[path = "../../loadtest/src/wire/mod.rs"]
mod wire;

use std::hint::black_box;
use std::io::Write;
use wire::protocol::Protocol;
use wire::reader::Reader;
use wire::record::{Format, Record};
use wire::shape::{Shape, Sink};

/// Bytes of a record.
const SIZE: usize = 64;

/// Deliveries of a case, in one message, as a saturated server joins them.
const BATCH: u32 = 256;

/// A name, the protocol, and how a server writes a delivery in it.
type Case = (&'static str, Protocol, fn(offset: u32, record: &str) -> Vec<u8>);

const CASES: [Case; 5] = [
    ("read_chat", Protocol::Plain, |_, record| record.into()),
    ("read_json", Protocol::Centrifuge, |offset, record| {
        let publication = format!(r#"{{"info":{{"client":"0/7.1"}},"offset":{offset},"data":"{record}"}}"#);
        format!(r#"{{"push":{{"channel":"loadtest","pub":{publication}}}}}"#).into()
    }),
    // As Centrifugo does: not in the order that is looked for first.
    ("read_json_other", Protocol::Centrifuge, |offset, record| {
        format!(r#"{{"push":{{"channel":"loadtest","pub":{{"data":"{record}","offset":{offset}}}}}}}"#).into()
    }),
    ("read_protobuf", Protocol::CentrifugeProtobuf, |offset, record| {
        let info = field(5, &field(2, b"0/7.1"));
        protobuf_push(&[info, offset_field(offset), data_field(record)].concat())
    }),
    ("read_protobuf_other", Protocol::CentrifugeProtobuf, |offset, record| {
        protobuf_push(&[data_field(record), offset_field(offset)].concat())
    }),
];

fn protobuf_push(publication: &[u8]) -> Vec<u8> {
    let push = [field(2, b"loadtest"), field(4, publication)].concat();
    let reply = field(4, &push);
    [varint(len(&reply)), reply].concat()
}

fn data_field(record: &str) -> Vec<u8> {
    field(4, format!("\"{record}\"").as_bytes())
}

fn offset_field(offset: u32) -> Vec<u8> {
    [&[6 << 3], &varint(offset)[..]].concat()
}

/// Returns a field of Protobuf.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2], &varint(len(value))[..], value].concat()
}

fn len(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("it is short")
}

/// Returns an integer below 16,384 as Protobuf writes it.
fn varint(number: u32) -> Vec<u8> {
    let [.., high, low] = (number << 1).to_be_bytes();
    if high == 0 { vec![low >> 1] } else { vec![0x80 | low >> 1, high] }
}

/// Takes records as the tally does: each has to be the next one.
struct Next {
    format: Format,
    sequence: u32,
}

impl Sink for Next {
    #[inline]
    fn record(&mut self, line: &[u8]) -> bool {
        let Some(record) = self.format.decode(line) else { return false };
        let is_next = record.sequence == self.sequence;
        self.sequence += u32::from(is_next);
        is_next
    }

    #[inline]
    fn before(&mut self, _: &[u8]) {}

    fn unexpected(&mut self, len: usize, start: &[u8]) {
        assert_eq!((len, start), (0, &b""[..]), "everything is expected");
    }

    fn without_record(&mut self, line: &[u8]) {
        assert_eq!(line, b"", "every line has a record");
    }

    fn control(&mut self, opcode: u8, _: &[u8]) {
        assert_eq!(opcode, 0, "there is none");
    }
}

/// What callgrind counts in: its name is the script's.
#[inline(never)]
fn counted<T>(run: impl FnOnce() -> T) -> T {
    black_box(run())
}

/// Reads a message with every delivery of a case.
fn read((name, protocol, write): &Case) {
    let mut next = Next { format: Format::new(SIZE, 7), sequence: 0 };
    let mut messages = Vec::new();
    for sequence in 0..BATCH {
        let mut record = Vec::new();
        next.format.encode(Record { publisher: 0, sequence, intended_ns: 1_000_000_007 }, &mut record);
        messages.push(write(1_000 + sequence, std::str::from_utf8(&record).expect("it is text")));
    }
    let payload = if protocol.opcode() == 1 { messages.join(&b'\n') } else { messages.concat() };
    let len = u16::try_from(payload.len()).expect("it fits").to_be_bytes();
    let wire = [&[0x80 | protocol.opcode(), 126], &len[..], &payload].concat();
    let (mut reader, shape) = (Reader::default(), Shape::new(protocol, SIZE));
    let outcome = counted(|| reader.feed(black_box(&wire), &shape, &mut next));
    assert_eq!((outcome, next.sequence), (Ok(()), BATCH), "{name}");
}

fn main() -> std::io::Result<()> {
    // cargo adds flags of its own.
    let asked: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    for case in &CASES {
        let (name, ..) = case;
        if asked.is_empty() || asked.iter().any(|asked| asked == name) {
            read(case);
            writeln!(std::io::stdout(), "{name} {BATCH}")?;
        }
    }
    Ok(())
}
