//! The decoder against a second implementation: what ours accepts, tungstenite reads the same.
//!
//! Streams are random: valid conversations cut anywhere, the same with bytes changed, and plain noise. tungstenite is
//! the more lenient, deliberately: it allows lengths that are not in their shortest form, any number of fragments and
//! 16 MiB, replaces a forbidden close code by 1002, and judges text when its frame is complete. So the claim goes one
//! way for arbitrary bytes, and both ways for valid ones.

use proptest::{collection::vec, prelude::*};
use std::io::{self, Cursor, Read, Write};
use throng::protocol::{CloseCode, DecoderLimits, Event, FrameDecoder, MessageKind, ProtocolError};
use tokio_tungstenite::tungstenite::{
    self, Message, WebSocket,
    error::ProtocolError as TheirError,
    protocol::{
        Role,
        frame::{
            FrameHeader,
            coding::{Control, Data, OpCode},
        },
    },
};

/// An event that outlives the bytes it came from; a close ends both streams.
#[derive(Clone, Debug, PartialEq)]
enum Said {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
}

impl From<Event<'_>> for Said {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Message { kind: MessageKind::Text, body } => Self::Text(body.to_vec()),
            Event::Message { kind: MessageKind::Binary, body } => Self::Binary(body.to_vec()),
            Event::Ping(body) => Self::Ping(body.to_vec()),
            Event::Pong => Self::Pong,
            Event::Close(code) => Self::Close(code.map(CloseCode::as_u16)),
        }
    }
}

/// What our decoder makes of the stream in these chunks.
fn ours<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Said>, Result<(), ProtocolError>) {
    let (mut decoder, mut said) = (FrameDecoder::new(), Vec::new());
    for chunk in chunks {
        let (mut chunk, limits) = (chunk.to_vec(), DecoderLimits::default());
        let mut rest = &mut chunk[..];
        loop {
            match decoder.next(&mut rest, &limits) {
                Ok(Some(event)) => said.push(event.into()),
                Ok(None) => break,
                Err(error) => return (said, Err(error)),
            }
        }
    }
    (said, Ok(()))
}

/// A socket in memory that takes and forgets what is written.
struct Socket(Cursor<Vec<u8>>);

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tungstenite makes of the stream; its end, anywhere in a frame, is no error.
fn theirs(stream: &[u8]) -> (Vec<Said>, Result<(), tungstenite::Error>) {
    let mut socket = WebSocket::from_raw_socket(Socket(Cursor::new(stream.to_vec())), Role::Server, None);
    let mut said = Vec::new();
    loop {
        said.push(match socket.read() {
            Ok(Message::Text(text)) => Said::Text(text.as_bytes().to_vec()),
            Ok(Message::Binary(body)) => Said::Binary(body.to_vec()),
            Ok(Message::Ping(body)) => Said::Ping(body.to_vec()),
            Ok(Message::Pong(_)) => Said::Pong,
            Ok(Message::Frame(_)) => unreachable!("tungstenite does not deliver frames"),
            Ok(Message::Close(close)) => {
                said.push(Said::Close(close.map(|frame| frame.code.into())));
                return (said, Ok(()));
            }
            Err(tungstenite::Error::Protocol(TheirError::ResetWithoutClosingHandshake)) => return (said, Ok(())),
            Err(error) => return (said, Err(error)),
        });
    }
}

#[derive(Clone, Debug)]
struct Frame {
    is_final: bool,
    opcode: OpCode,
    mask: [u8; 4],
    body: Vec<u8>,
}

impl Frame {
    /// The frame on the wire, its head by tungstenite.
    fn encode(&self) -> Vec<u8> {
        let header = FrameHeader {
            is_final: self.is_final,
            opcode: self.opcode,
            mask: Some(self.mask),
            ..FrameHeader::default()
        };
        let mut wire = Vec::new();
        header.format(self.body.len() as u64, &mut wire).expect("a Vec takes everything");
        wire.extend(self.body.iter().zip(self.mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        wire
    }
}

fn control() -> impl Strategy<Value = Frame> {
    let opcode = prop_oneof![Just(Control::Ping), Just(Control::Pong)].prop_map(OpCode::Control);
    (opcode, any::<[u8; 4]>(), vec(any::<u8>(), 0..=125)).prop_map(|(opcode, mask, body)| Frame {
        is_final: true,
        opcode,
        mask,
        body,
    })
}

fn close() -> impl Strategy<Value = Frame> {
    let code = prop_oneof![Just(1000_u16), Just(1001), Just(1007), Just(1011), 3000..5000_u16];
    let body = (code, "\\PC{0,20}").prop_map(|(code, reason)| [&code.to_be_bytes(), reason.as_bytes()].concat());
    (prop_oneof![Just(Vec::new()), body], any::<[u8; 4]>()).prop_map(|(body, mask)| Frame {
        is_final: true,
        opcode: OpCode::Control(Control::Close),
        mask,
        body,
    })
}

/// The body of a message: mostly short, at times around the edges of the length's forms.
fn message() -> impl Strategy<Value = (Data, Vec<u8>)> {
    let len = prop_oneof![8 => 0..40_usize, 2 => 120..130_usize, 1 => 4090..4100_usize, 1 => 65_530..=65_536_usize];
    prop_oneof![
        "\\PC{0,40}".prop_map(|text| (Data::Text, text.into_bytes())),
        "[a\u{e9}\u{20ac}\u{1f600}]{40,60}".prop_map(|text| (Data::Text, text.into_bytes())),
        (len, any::<u8>()).prop_map(|(len, byte)| (Data::Binary, vec![byte; len])),
    ]
}

/// A message in up to six fragments, cut even inside characters, with control frames between them.
fn fragments() -> impl Strategy<Value = Vec<Frame>> {
    let rest = (vec(any::<prop::sample::Index>(), 0..6), vec(any::<[u8; 4]>(), 6), vec(control(), 0..6));
    (message(), rest).prop_map(|((kind, body), (cuts, masks, controls))| {
        let mut edges: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        edges.extend([0, body.len()]);
        edges.sort_unstable();
        // Two edges more than cuts: one frame for none.
        let last = edges.len() - 2;
        let mut controls = controls.into_iter();
        let mut frames = Vec::new();
        for (index, edge) in edges.windows(2).enumerate() {
            frames.push(Frame {
                is_final: index == last,
                opcode: OpCode::Data(if index == 0 { kind } else { Data::Continue }),
                mask: masks[index % masks.len()],
                body: body[edge[0]..edge[1]].to_vec(),
            });
            frames.extend(controls.next());
        }
        frames
    })
}

fn conversation() -> impl Strategy<Value = Vec<u8>> {
    let frames = vec(prop_oneof![3 => fragments(), 1 => control().prop_map(|frame| vec![frame])], 0..6);
    (frames, prop::option::of(close())).prop_map(|(frames, close)| {
        frames.into_iter().flatten().chain(close).flat_map(|frame| frame.encode()).collect()
    })
}

/// Bytes that get past the first checks often enough to be interesting.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![Just(0x81), Just(0x01), Just(0x80), Just(0x00), Just(0x82), Just(0x89), Just(0x88)];
    let second = prop_oneof![8 => 0x80..0x88_u8, 1 => 0xfd..=0xff_u8, 1 => any::<u8>()];
    let frame = (first, second, vec(prop_oneof![any::<u8>(), Just(0)], 4..12));
    vec(frame, 0..8).prop_map(|frames| {
        frames.into_iter().flat_map(|(first, second, rest)| [&[first, second], &rest[..]].concat()).collect()
    })
}

/// Cuts the stream at these places.
fn cut<'a>(stream: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut edges: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    edges.extend([0, stream.len()]);
    edges.sort_unstable();
    edges.windows(2).map(|edge| &stream[edge[0]..edge[1]]).collect()
}

/// Asserts that cutting changes nothing, and that what we accept tungstenite reads the same.
fn assert_no_more_lenient(stream: &[u8]) -> Result<(), TestCaseError> {
    let (said, result) = ours([stream]);
    prop_assert_eq!((&said, result), (&ours(stream.chunks(1)).0, ours(stream.chunks(1)).1));
    let (their_said, their_result) = theirs(stream);
    match result {
        Ok(()) => {
            prop_assert!(their_result.is_ok(), "they refuse: {:?}", their_result);
            prop_assert_eq!(said, their_said);
        }
        Err(_) => prop_assert!(their_said.starts_with(&said), "{:?} is no beginning of {:?}", said, their_said),
    }
    Ok(())
}

proptest! {
    #[test]
    fn valid_conversations_are_read_the_same_however_cut(
        stream in conversation(),
        cuts in vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let (said, result) = theirs(&stream);
        prop_assert!(result.is_ok());
        prop_assert_eq!(ours([&stream[..]]), (said.clone(), Ok(())));
        prop_assert_eq!(ours(cut(&stream, &cuts)), (said.clone(), Ok(())));
        if stream.len() < 300 {
            for at in 0..=stream.len() {
                prop_assert_eq!(ours([&stream[..at], &stream[at..]]), (said.clone(), Ok(())), "cut at {}", at);
            }
        }
    }

    #[test]
    fn changed_bytes_never_make_us_more_lenient(
        mut stream in conversation(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        stream.truncate(2000);
        prop_assume!(!stream.is_empty());
        for (at, byte) in changes {
            let at = at.index(stream.len());
            stream[at] ^= byte;
        }
        assert_no_more_lenient(&stream)?;
    }

    #[test]
    fn noise_never_makes_us_more_lenient(stream in prop_oneof![noise(), vec(any::<u8>(), 0..200)]) {
        assert_no_more_lenient(&stream)?;
    }
}
