//! Whatever a client sends, it is commands or it is refused.

use crate::protocol::centrifuge::*;
use proptest::prelude::*;

fn all(format: Format, frame: &[u8]) -> Vec<Result<Command, Malformed>> {
    commands(format, frame).collect()
}

#[test]
fn what_is_no_command_is_refused_and_nothing_after_it_is_read() {
    for line in [
        "",
        "null",
        "[]",
        "7",
        "{",
        "{}{}",
        "{} x",
        r#"{"id":-1}"#,
        r#"{"id":4294967296}"#,
        r#"{"id":"1"}"#,
        r#"{"id":1,"connect":[]}x"#,
        r#"{"id":1,"subscribe":{"channel":7}}"#,
        r#"{"id":1,"publish":{"data":}}"#,
        "\u{feff}{}",
    ] {
        let frame = format!("{{}}\n{line}\n{{}}");
        let expected = [Ok(Command { id: 0, request: Request::Pong }), Err(Malformed)];
        assert_eq!(all(Format::Json, frame.as_bytes()), expected, "{line}");
    }
    for (bytes, why) in [
        (&b"\x01"[..], "shorter than its length"),
        (b"\x80", "half a length"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "a length of more than 64 bits"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "a length beyond memory"),
        (b"\x01\x08", "half a field"),
        (b"\x02\x0a\x00", "text where a number belongs"),
        (b"\x05\x32\x03\x0a\x01\xff", "a channel that is not UTF-8"),
        (b"\x02\x00\x00", "field 0"),
    ] {
        let expected = [Ok(Command { id: 0, request: Request::Pong }), Err(Malformed)];
        assert_eq!(all(Format::Protobuf, &[b"\0", bytes].concat()), expected, "{why}");
    }
    assert_eq!(all(Format::Json, b""), []);
    assert_eq!(all(Format::Protobuf, b""), []);
}

/// A newer client may know more than this hub.
#[test]
fn what_is_unknown_is_ignored_and_null_is_nothing() {
    let expected = [Ok(Command { id: 3, request: Request::Unsubscribe("a".into()) })];
    let frame = br#"{"new":{"a":[{}]},"id":3,"connect":null,"unsubscribe":{"channel":"a","why":"\u0000","x":1e999}}"#;
    assert_eq!(all(Format::Json, frame), expected);
    // Field 99 with a text, field 98 with a number.
    let frame = b"\x0f\x08\x03\x9a\x06\x01x\x32\x07\x0a\x01a\x90\x06\x80\x01";
    assert_eq!(all(Format::Protobuf, frame), expected);
    let frame = br#"{"id":1,"connect":{"token":null,"subs":null,"headers":null,"data":null}}"#;
    let Some(Ok(Command { request: Request::Connect(connect), .. })) = commands(Format::Json, frame).next() else {
        panic!("not read")
    };
    assert_eq!(connect.data.map(|data| data.data), Some("null".into()));
    assert_eq!((connect.token, connect.subs, connect.headers), (String::new(), vec![], vec![]));
}

/// Deep input must not exhaust the stack.
#[test]
fn nesting_is_read_or_refused() {
    let deep = format!(r#"{{"id":1,"rpc":{{"data":{}1{}}}}}"#, "[".repeat(30_000), "]".repeat(30_000));
    assert_eq!(all(Format::Json, deep.as_bytes()).len(), 1);
    let deep = format!(r#"{{"id":1,"x":{}"#, r#"{"x":"#.repeat(30_000));
    assert_eq!(all(Format::Json, deep.as_bytes()), [Err(Malformed)]);
    let mut deep = vec![];
    for _ in 0..10_000 {
        let mut outer = vec![0x22];
        prost::encode_length_delimiter(deep.len(), &mut outer).unwrap();
        outer.append(&mut deep);
        deep = outer;
    }
    let mut frame = vec![];
    prost::encode_length_delimiter(deep.len(), &mut frame).unwrap();
    frame.append(&mut deep);
    assert_eq!(all(Format::Protobuf, &frame).len(), 1);
}

/// Valid frames with some bytes changed get deeper than arbitrary bytes.
fn changed_frame(text: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let lines: Vec<_> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let frames: Vec<Vec<u8>> = lines
        .chunks(2)
        .flat_map(|pair| {
            let hex = pair[1];
            let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            [pair[0].as_bytes().to_vec(), (0..hex.len()).step_by(2).map(byte).collect()]
        })
        .collect();
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let cut = any::<prop::sample::Index>();
    (proptest::sample::select(frames), changes, cut, any::<bool>()).prop_map(|(mut frame, changes, cut, is_cut)| {
        for (at, byte) in changes {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        if is_cut {
            frame.truncate(cut.index(frame.len()));
        }
        frame
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_bytes_are_read_or_refused(
        frame in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..64),
            changed_frame(include_str!("../../../../tests/centrifuge/commands.txt")),
        ]
    ) {
        for format in [Format::Json, Format::Protobuf] {
            let read = all(format, &frame);
            // Each takes a byte at least, and the first that is refused is the last.
            prop_assert!(read.len() <= frame.len());
            prop_assert!(read.iter().rev().skip(1).all(Result::is_ok));
        }
    }
}
