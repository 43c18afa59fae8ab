//! The decoder's unit tests: every rule and limit by name, at the limit and one past it, whole and cut.

use super::decoder::FrameDecoder;
use super::frame::CONTROL_BYTES_MAX;
use crate::protocol::{CloseCode, CloseReason, DecoderLimits, Event, MessageKind, ProtocolError};
use allocation_counter::measure;
use std::mem::size_of;

const MASK: [u8; 4] = [0x9a, 0x08, 0x57, 0xc6];
const LIMITS: DecoderLimits = DecoderLimits { message_bytes_max: 1024, fragments_max: 4 };

/// An event that outlives the bytes it came from.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Said {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
}

impl From<Event<'_>> for Said {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Message { kind: MessageKind::Text, body } => Self::Text(String::from_utf8(body.to_vec()).unwrap()),
            Event::Message { kind: MessageKind::Binary, body } => Self::Binary(body.to_vec()),
            Event::Ping(body) => Self::Ping(body.to_vec()),
            Event::Pong => Self::Pong,
            Event::Close(code) => Self::Close(code.map(CloseCode::as_u16)),
        }
    }
}

/// What a decoder made of some chunks: the events, and the error that ended them.
type Outcome = (Vec<Said>, Result<(), ProtocolError>);

fn decode<'a>(decoder: &mut FrameDecoder, chunks: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut said = Vec::new();
    for chunk in chunks {
        if let Err(error) = each(decoder, &mut chunk.to_vec(), &LIMITS, |event| said.push(event.into())) {
            return (said, Err(error));
        }
    }
    (said, Ok(()))
}

/// Calls `on` with each event of some bytes, which the decoder takes all.
fn each(
    decoder: &mut FrameDecoder,
    mut bytes: &mut [u8],
    limits: &DecoderLimits,
    mut on: impl FnMut(Event<'_>),
) -> Result<(), ProtocolError> {
    while let Some(event) = decoder.next(&mut bytes, limits)? {
        on(event);
    }
    assert!(bytes.is_empty());
    Ok(())
}

/// What a new decoder makes of these bytes; the same byte by byte, which takes the other path.
fn hear_all(bytes: &[u8]) -> Outcome {
    let whole = decode(&mut FrameDecoder::new(), [bytes]);
    assert_eq!(decode(&mut FrameDecoder::new(), bytes.chunks(1)), whole, "cut into bytes");
    whole
}

/// A masked frame; `first` is FIN, reserved bits and opcode.
fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = head(first, body.len() as u64);
    frame.extend(body.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn head(first: u8, len: u64) -> Vec<u8> {
    let (short, long) = match len {
        0..126 => (u8::try_from(len).unwrap(), vec![]),
        126..0x1_0000 => (126, len.to_be_bytes()[6..].to_vec()),
        _ => (127, len.to_be_bytes().to_vec()),
    };
    [&[first, 0x80 | short], &long[..], &MASK].concat()
}

fn text(body: &str) -> Said {
    Said::Text(body.into())
}

/// Asserts that these bytes, after a valid message, are refused with this error and nothing after the message.
fn assert_refused(name: &str, bytes: &[u8], error: ProtocolError, code: u16) {
    let stream = [&frame(0x81, b"before")[..], bytes].concat();
    assert_eq!(hear_all(&stream), (vec![text("before")], Err(error)), "{name}");
    assert_eq!(CloseReason::Protocol(error).code().map(CloseCode::as_u16), Some(code), "{name}");
}

/// Each row ends with the byte that breaks the rule: nothing after it may be needed for the verdict.
#[test]
fn heads_that_break_a_rule_are_refused_at_the_offending_byte() {
    use crate::protocol::ProtocolError as E;
    let open = frame(0x01, b"open");
    for (name, bytes, error) in [
        ("first reserved bit", vec![0xc1], E::ReservedBits),
        ("second reserved bit", vec![0xa1], E::ReservedBits),
        ("third reserved bit", vec![0x91], E::ReservedBits),
        ("reserved data opcode", vec![0x83], E::UnknownOpcode { opcode: 3 }),
        ("last reserved data opcode", vec![0x87], E::UnknownOpcode { opcode: 7 }),
        ("reserved control opcode", vec![0x8b], E::UnknownOpcode { opcode: 11 }),
        ("last reserved control opcode", vec![0x8f], E::UnknownOpcode { opcode: 15 }),
        ("fragmented close", vec![0x08], E::ControlFragmented),
        ("fragmented ping", vec![0x09], E::ControlFragmented),
        ("fragmented pong", vec![0x0a], E::ControlFragmented),
        ("continuation of nothing", vec![0x80], E::StrayContinuation),
        ("open continuation of nothing", vec![0x00], E::StrayContinuation),
        ("text inside a message", [&open[..], &[0x81]].concat(), E::NestedMessage),
        ("binary inside a message", [&open[..], &[0x02]].concat(), E::NestedMessage),
        ("unmasked", vec![0x81, 0x05], E::Unmasked),
        ("unmasked and empty", vec![0x81, 0x00], E::Unmasked),
        ("unmasked control", vec![0x89, 0x00], E::Unmasked),
        ("long ping", vec![0x89, 0xfe], E::ControlTooLong),
        ("long pong", vec![0x8a, 0xfe], E::ControlTooLong),
        ("very long close", vec![0x88, 0xff], E::ControlTooLong),
        ("125 in 16 bits", vec![0x82, 0xfe, 0x00, 0x7d], E::BadLength),
        ("65,535 in 64 bits", vec![0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff], E::BadLength),
        ("0 in 64 bits", vec![0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 0], E::BadLength),
    ] {
        assert_refused(name, &bytes, error, 1002);
        let before = [&frame(0x81, b"before")[..], &bytes[..bytes.len() - 1]].concat();
        assert_eq!(hear_all(&before).1, Ok(()), "{name}: refused too early");
    }
}

#[test]
fn close_frames_that_break_a_rule_are_refused() {
    use crate::protocol::ProtocolError as E;
    assert_refused("one byte", &frame(0x88, &[3]), E::CloseTooShort, 1002);
    for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, u16::MAX] {
        assert_refused("code", &frame(0x88, &code.to_be_bytes()), E::BadCloseCode { code }, 1002);
    }
    assert_refused("reason", &frame(0x88, b"\x03\xe8caf\xe9"), E::InvalidUtf8, 1007);
    assert_refused("cut reason", &frame(0x88, b"\x03\xe8\xe2\x82"), E::InvalidUtf8, 1007);
}

#[test]
fn close_frames_deliver_their_code() {
    assert_eq!(hear_all(&frame(0x88, b"")).0, [Said::Close(None)]);
    for code in [1000, 1003, 1007, 1014, 3000, 4999] {
        let body = [&u16::to_be_bytes(code)[..], "\u{2603}".repeat(41).as_bytes()].concat();
        assert_eq!(body.len(), CONTROL_BYTES_MAX);
        assert_eq!(hear_all(&frame(0x88, &body)).0, [Said::Close(Some(code))]);
    }
}

#[test]
fn control_frames_of_125_bytes_are_delivered() {
    assert_eq!(hear_all(&frame(0x89, &[7; 125])), (vec![Said::Ping(vec![7; 125])], Ok(())));
    assert_eq!(hear_all(&frame(0x8a, &[7; 125])), (vec![Said::Pong], Ok(())));
}

/// The length alone decides: the refused heads below come without a body.
#[test]
fn a_message_of_exactly_the_limit_is_delivered_and_one_past_it_refused_on_its_head() {
    let too_big = |len| ProtocolError::MessageTooBig { len, max: 1024 };
    assert_eq!(hear_all(&frame(0x82, &[7; 1024])).0, [Said::Binary(vec![7; 1024])]);
    assert_refused("frame", &head(0x82, 1025)[..4], too_big(1025), 1009);
    let first = frame(0x02, &[7; 1000]);
    assert_eq!(hear_all(&[&first[..], &frame(0x80, &[7; 24])].concat()).0, [Said::Binary(vec![7; 1024])]);
    assert_refused("sum", &[&first[..], &head(0x80, 25)[..2]].concat(), too_big(1025), 1009);
}

#[test]
fn a_message_of_exactly_the_most_fragments_is_delivered_and_one_more_refused() {
    let most = [frame(0x01, b"a"), frame(0x00, b"b"), frame(0x00, b"c")].concat();
    assert_eq!(hear_all(&[&most[..], &frame(0x80, b"d")].concat()).0, [text("abcd")]);
    let more = [&most[..], &frame(0x00, b"d"), &[0x80]].concat();
    assert_refused("fifth", &more, ProtocolError::TooManyFragments { max: 4 }, 1008);
}

/// Autobahn 6.4.3 and 6.4.4: the rest of the frame does not have to arrive.
#[test]
fn text_is_refused_at_its_first_bad_byte() {
    let cut = |first, body: &[u8], len| frame(first, body)[..frame(first, body).len() - len].to_vec();
    for (name, bytes) in [
        ("surrogate", frame(0x81, b"\xed\xa0\x80")),
        ("overlong", frame(0x81, b"\xc0\xaf")),
        ("middle of a frame", cut(0x81, b"valid\xf4\x90 and more", 9)),
        ("middle of a fragment", [frame(0x01, "sn\u{2603}w".as_bytes()), cut(0x00, b"\xff and more", 9)].concat()),
        ("character broken by the next fragment", [frame(0x01, b"\xe2\x82"), frame(0x00, b"x")].concat()),
    ] {
        assert_refused(name, &bytes, ProtocolError::InvalidUtf8, 1007);
    }
}

#[test]
fn text_that_ends_inside_a_character_is_refused() {
    assert_refused("frame", &frame(0x81, b"cut \xe2\x82"), ProtocolError::InvalidUtf8, 1007);
    let fragments = [frame(0x01, b"cut "), frame(0x80, b"\xf0\x9f\x98")].concat();
    assert_refused("fragments", &fragments, ProtocolError::InvalidUtf8, 1007);
    let empty_end = [frame(0x01, b"cut \xe2"), frame(0x80, b"")].concat();
    assert_refused("empty last fragment", &empty_end, ProtocolError::InvalidUtf8, 1007);
}

#[test]
fn binary_need_not_be_text() {
    assert_eq!(hear_all(&frame(0x82, b"\xff\xe2")).0, [Said::Binary(b"\xff\xe2".to_vec())]);
}

/// A message of every shape, control frames in odd places, and data after the close.
fn conversation() -> (Vec<u8>, Vec<Said>) {
    let bytes = [
        frame(0x81, b"hello"),
        frame(0x01, b"on\xe2"),
        frame(0x89, b"between"),
        frame(0x00, b""),
        frame(0x8a, b""),
        frame(0x80, b"\x82\xac!"),
        frame(0x81, b""),
        frame(0x82, &[7; 500]),
        frame(0x02, b"never ends"),
        frame(0x88, &[0x03, 0xe8]),
        frame(0x81, b"late"),
    ];
    let ping = Said::Ping(b"between".to_vec());
    let close = Said::Close(Some(1000));
    let said = vec![text("hello"), ping, Said::Pong, text("on\u{20ac}!"), text(""), Said::Binary(vec![7; 500]), close];
    (bytes.concat(), said)
}

#[test]
fn any_split_gives_the_same_events() {
    let (bytes, said) = conversation();
    assert_eq!(hear_all(&bytes), (said.clone(), Ok(())));
    for at in 0..=bytes.len() {
        let (left, right) = bytes.split_at(at);
        assert_eq!(decode(&mut FrameDecoder::new(), [left, right]), (said.clone(), Ok(())), "cut at {at}");
    }
    for size in 2..40 {
        assert_eq!(decode(&mut FrameDecoder::new(), bytes.chunks(size)), (said.clone(), Ok(())), "chunks of {size}");
    }
}

/// A hub that is full stops the reader; what was not taken is given again later, from another buffer.
#[test]
fn stopping_and_resuming_loses_nothing() {
    let (bytes, expected) = conversation();
    for size in [1, 3, 64, bytes.len()] {
        let (mut decoder, mut said) = (FrameDecoder::new(), Vec::new());
        for chunk in bytes.chunks(size) {
            let mut rest = chunk.to_vec();
            while !rest.is_empty() {
                let mut left = &mut rest[..];
                said.extend(decoder.next(&mut left, &LIMITS).unwrap().map(Said::from));
                rest = left.to_vec();
            }
        }
        assert_eq!(said, expected, "chunks of {size}");
    }
}

/// While the reader waits for a shard, the message that it waits with is over: no time limit runs for it.
#[test]
fn delivered_message_is_not_incomplete() {
    let mut decoder = FrameDecoder::new();
    let (mut begin, mut end) = (frame(0x01, b"frag"), frame(0x80, b"ments"));
    assert_eq!(decoder.next(&mut &mut begin[..], &LIMITS), Ok(None));
    assert!(!decoder.is_idle());
    let mut rest = &mut end[..];
    let body = b"fragments";
    assert_eq!(decoder.next(&mut rest, &LIMITS), Ok(Some(Event::Message { kind: MessageKind::Text, body })));
    assert!(decoder.is_idle());
    assert_eq!(decoder.next(&mut rest, &LIMITS), Ok(None));
    assert_eq!(decoder.partial_bytes(), 0);
}

#[test]
fn nothing_is_delivered_after_a_close_frame_or_an_error() {
    for (last, result) in [(frame(0x88, b""), Ok(())), (vec![0xf1], Err(ProtocolError::ReservedBits))] {
        let mut decoder = FrameDecoder::new();
        assert_eq!(decode(&mut decoder, [&frame(0x01, b"open")[..], &last]).1, result);
        assert!(decoder.is_closed() && decoder.is_idle());
        assert_eq!(decode(&mut decoder, [&frame(0x81, b"late")[..]]), (vec![], Ok(())));
    }
}

/// A million idle connections pay for this.
#[test]
fn an_idle_decoder_is_small_and_holds_no_heap() {
    assert!(size_of::<FrameDecoder>() <= 16);
    let (bytes, _) = conversation();
    let mut decoder = FrameDecoder::new();
    let cost = measure(|| {
        for chunk in bytes[..200].chunks(3) {
            _ = each(&mut decoder, &mut chunk.to_vec(), &LIMITS, |_| {});
        }
    });
    assert!(!decoder.is_idle() && cost.count_current > 0, "the conversation is inside a message here");
    let rest = measure(|| {
        for chunk in bytes[200..].chunks(3) {
            _ = each(&mut decoder, &mut chunk.to_vec(), &LIMITS, |_| {});
        }
    });
    assert!(decoder.is_idle());
    assert_eq!(cost.bytes_current + rest.bytes_current, 0);
}

#[test]
fn a_decoder_is_idle_exactly_between_messages() {
    let mut decoder = FrameDecoder::new();
    for (chunk, is_idle) in [
        (&frame(0x81, b"whole")[..], true),
        (&[0x81], false),
        (&frame(0x81, b"rest")[1..], true),
        (&frame(0x01, b"fragment"), false),
        (&frame(0x89, b"ping"), false),
        (&frame(0x80, b""), true),
    ] {
        assert_eq!(decode(&mut decoder, [chunk]).1, Ok(()));
        assert_eq!(decoder.is_idle(), is_idle);
    }
}

#[test]
fn whole_messages_cost_no_allocation() {
    let mut bytes = [frame(0x81, b"text"), frame(0x82, &[7; 1000]), frame(0x89, b"ping")].concat();
    let (mut decoder, mut events) = (FrameDecoder::new(), 0);
    let cost = measure(|| {
        let result = each(&mut decoder, &mut bytes, &LIMITS, |_| events += 1);
        assert_eq!(result, Ok(()));
    });
    assert_eq!((events, cost.count_total), (3, 0));
}

/// The top bit of a 64-bit length crashed a server before authentication.
#[test]
fn advisory_nats_2026_27889_length_msb() {
    for length in [[0x80, 0, 0, 0, 0, 0, 0, 0], [0xff; 8]] {
        let bytes = [&[0x82, 0xff], &length[..], &MASK].concat();
        assert_refused("top bit", &bytes, ProtocolError::BadLength, 1002);
    }
    // The largest length that is well formed must not wrap when it is added to what is there.
    let most = [0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let bytes = [&frame(0x02, b"first")[..], &[0x80, 0xff], &most].concat();
    let error = ProtocolError::MessageTooBig { len: (1 << 63) - 1 + 5, max: 1024 };
    assert_refused("largest", &bytes, error, 1009);
}

/// An announced length is a claim: a server that believes it is out of memory after a few bytes from each client.
#[test]
fn advisory_rust_websocket_2022_0035_allocation_from_announced_length() {
    let limits = DecoderLimits { message_bytes_max: 1 << 30, fragments_max: 64 };
    let mut bytes = [&head(0x82, 1 << 30)[..], b"x"].concat();
    let mut decoder = FrameDecoder::new();
    let cost = measure(|| _ = each(&mut decoder, &mut bytes, &limits, |_| {}));
    assert!(!decoder.is_idle());
    assert!(
        cost.bytes_max <= 4096 + size_of::<crate::protocol::websocket::partial::Partial>() as u64,
        "{} bytes for one",
        cost.bytes_max
    );

    // Beyond the first page, at most one byte is reserved for each that arrived.
    let mut body = vec![0; 100_000];
    let cost = measure(|| _ = each(&mut decoder, &mut body, &limits, |_| {}));
    assert!(cost.bytes_current <= 2 * 100_000, "{} bytes for 100,000", cost.bytes_current);
}

/// Tiny fragments made a server spend memory and time out of proportion.
#[test]
fn advisory_ws_2026_48779_aggregate_of_fragments() {
    let limits = DecoderLimits { message_bytes_max: 65_536, fragments_max: u32::MAX };
    let mut decoder = FrameDecoder::new();
    let mut stream = [frame(0x02, b"x"), frame(0x00, b"x").repeat(65_535)].concat();
    let cost = measure(|| _ = each(&mut decoder, &mut stream, &limits, |_| {}));
    assert!(cost.bytes_max < 3 * 65_536, "{} bytes held for 65,536", cost.bytes_max);
    assert!(cost.bytes_total < 4 * 65_536, "{} bytes copied by growth for 65,536", cost.bytes_total);
    let error = each(&mut decoder, &mut frame(0x00, b"x"), &limits, |_| {});
    assert_eq!(error, Err(ProtocolError::MessageTooBig { len: 65_537, max: 65_536 }));
}

/// Fragments without a byte were not counted, and never reached a limit.
#[test]
fn advisory_ws_2329_empty_fragments_count() {
    let endless = [frame(0x02, b""), frame(0x00, b"").repeat(20_000)].concat();
    assert_refused("empty", &endless, ProtocolError::TooManyFragments { max: 4 }, 1008);
}

/// Each fragment made a server measure the whole message again: here, the bytes looked at twice are counted.
#[test]
fn advisory_bandit_2026_65623_text_is_not_validated_again() {
    let mut message = crate::protocol::websocket::message::Message::default();
    message.begin_frame(crate::protocol::websocket::frame::Opcode::Text);
    for byte in "\u{1f600}".repeat(1000).bytes() {
        assert!(message.pending() <= 3, "more than one character is looked at again");
        message.append(&[byte], 1, &DecoderLimits::default()).unwrap();
    }
    assert_eq!(message.pending(), 0);
}
