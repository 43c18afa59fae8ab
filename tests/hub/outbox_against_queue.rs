//! An outbox against a queue: whatever a socket takes of it, the wire holds the frames that a `VecDeque` would give.
//!
//! The model's frames are tungstenite's, and so is the client that reads the whole stream in the end.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::io::{self, Cursor, IoSlice, Read, Write};
use std::task::{Poll, Waker};
use throng::hub::shard::control_queue::ControlQueue;
use throng::hub::shard::log::{Log, WINDOW_MAX};
use throng::hub::shard::outbox::{Outbox, Window};
use throng::hub::{Sent, Sink};
use throng::protocol::Encoding;
use throng::protocol::websocket::frame;
use tokio_tungstenite::tungstenite::WebSocket;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

#[derive(Clone, Debug)]
enum Step {
    Publish(usize),
    Pong(u8),
    Ping,
    /// Flush into a socket that takes that many bytes.
    Flush(usize),
    /// Forget what was sent.
    Trim,
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![8 => 0..200_usize, 2 => 200..6000_usize, 1 => 6000..70_000_usize];
    let taken = prop_oneof![4 => 0..40_usize, 4 => 0..3000_usize, 2 => 0..200_000_usize];
    prop_oneof![
        6 => len.prop_map(Step::Publish),
        1 => any::<u8>().prop_map(Step::Pong),
        1 => Just(Step::Ping),
        6 => taken.prop_map(Step::Flush),
        2 => Just(Step::Trim),
    ]
}

/// The same as queues of frames and lines.
#[derive(Default)]
struct Model {
    rest: Vec<u8>,
    pong: Vec<u8>,
    ping: Vec<u8>,
    lines: VecDeque<String>,
}

fn formatted(frame: Frame) -> Vec<u8> {
    let mut bytes = vec![];
    frame.format(&mut bytes).expect("a vector takes everything");
    bytes
}

impl Model {
    fn bytes(&self) -> usize {
        let control = self.rest.len() + self.pong.len() + self.ping.len();
        control + self.lines.iter().map(|line| line.len() + 1).sum::<usize>()
    }

    /// Lines that leave in one message.
    fn coalesced(&self) -> usize {
        let mut bytes = 0;
        let fitting = self.lines.iter().take_while(|line| {
            bytes += line.len() as u64 + 1;
            bytes <= WINDOW_MAX
        });
        fitting.count().max(1).min(self.lines.len())
    }

    /// Moves up to `room` bytes to `wire`, and returns how many lines left, joined or as a message each.
    fn flush(&mut self, mut room: usize, wire: &mut Vec<u8>, is_split: bool) -> usize {
        let mut rest = vec![];
        let mut take = |frame: &mut Vec<u8>| {
            let taken = room.min(frame.len());
            if taken > 0 {
                rest = frame.split_off(taken);
                wire.append(frame);
            }
            room -= taken;
            taken
        };
        [&mut self.rest, &mut self.pong, &mut self.ping].into_iter().for_each(|part| _ = take(part));
        let mut gone = 0;
        let left = self.coalesced();
        let size = if is_split { 1 } else { left };
        while gone < left {
            let body = self.lines.range(..size).map(String::as_str).collect::<Vec<_>>().join("\n");
            let mut frame = formatted(Frame::message(body, OpCode::Data(Data::Text), true));
            let len = frame.len();
            let taken = take(&mut frame);
            if taken > 0 {
                self.lines.drain(..size);
                gone += size;
            }
            if taken < len {
                break;
            }
        }
        if !rest.is_empty() {
            self.rest = rest;
        }
        gone
    }
}

/// A socket that takes a limited number of bytes of one write.
struct Room {
    left: usize,
    wire: Vec<u8>,
}

impl Sink for Room {
    fn send(&mut self, bytes: &[u8]) -> Sent {
        self.send_vectored(&[IoSlice::new(bytes)])
    }

    fn send_vectored(&mut self, slices: &[IoSlice<'_>]) -> Sent {
        let len: usize = slices.iter().map(|slice| slice.len()).sum();
        let taken = len.min(self.left);
        self.wire.extend(slices.iter().flat_map(|slice| slice.iter()).take(taken));
        if taken == len { Sent::All } else { Sent::Short(taken) }
    }

    fn poll_writable(&mut self, _: &Waker) -> Poll<()> {
        Poll::Pending
    }

    fn finish(&mut self) {}

    fn abort(&mut self) {}
}

/// A stream to read; what the client answers goes nowhere.
struct Stream(Cursor<Vec<u8>>);

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines that a client on another implementation makes of the stream.
fn read(wire: Vec<u8>) -> Vec<String> {
    let mut client = WebSocket::from_raw_socket(Stream(Cursor::new(wire)), Role::Client, None);
    let messages = std::iter::from_fn(|| client.read().ok());
    let texts = messages.filter_map(|message| message.is_text().then(|| message.into_text().ok()).flatten());
    texts.flat_map(|text| text.split('\n').map(str::to_owned).collect::<Vec<_>>()).collect()
}

proptest! {
    #[test]
    fn outbox_gives_what_a_queue_gives(steps in vec(step(), 1..80), is_split: bool) {
        let (mut log, mut control) = (Log::default(), ControlQueue::default());
        let (mut cursor, mut model) = (0, Model::default());
        let (mut wire, mut expected, mut published) = (vec![], vec![], vec![]);
        // Every flush of what is left takes at least one line.
        let last = std::iter::repeat_n(Step::Flush(usize::MAX), steps.len());
        for step in steps.into_iter().chain(last) {
            match step {
                Step::Publish(len) => {
                    let line = format!("{}:{}", published.len(), "x".repeat(len));
                    log.push(&Bytes::from(format!("{line}\n")));
                    model.lines.push_back(line.clone());
                    published.push(line);
                }
                Step::Pong(byte) => {
                    control.push_pong(frame::pong(&[byte]));
                    model.pong = formatted(Frame::pong(vec![byte]));
                }
                Step::Ping => {
                    control.push_ping(frame::ping());
                    model.ping = formatted(Frame::ping(vec![]));
                }
                Step::Trim => log.trim(cursor),
                Step::Flush(left) => {
                    let mut sink = Room { left, wire: vec![] };
                    let window = Window { log: &log, encoding: Encoding::Lines, cursor: &mut cursor };
                    let mut outbox = Outbox { control: &mut control, window: Some(window) };
                    let flushed = if is_split { outbox.flush_split(&mut sink) } else { outbox.flush(&mut sink) };
                    let before = expected.len();
                    prop_assert_eq!(flushed.publications, model.flush(left, &mut expected, is_split));
                    prop_assert_eq!(flushed.bytes, expected.len() - before);
                    prop_assert!(sink.wire == expected[before..], "the wire differs");
                    wire.append(&mut sink.wire);
                }
            }
            let window = Window { log: &log, encoding: Encoding::Lines, cursor: &mut cursor };
            let outbox = Outbox { control: &mut control, window: Some(window) };
            prop_assert_eq!((outbox.bytes(), outbox.publications()), (model.bytes() as u64, model.lines.len()));
            prop_assert_eq!(outbox.is_empty(), model.bytes() == 0);
        }
        prop_assert_eq!(model.bytes(), 0);
        prop_assert!(read(wire) == published, "a client reads something else");
    }
}
