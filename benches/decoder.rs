//! How fast does the decoder read what clients send: small messages, a long one, the worst cut, fragments?
//!
//! tungstenite reads the same bytes for comparison. Both pay one copy of the wire, as a read of a socket would. Not
//! measured: sockets, and what is done with the messages.

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use std::{
    hint::black_box,
    io::{self, Read, Write},
};
use throng::protocol::{DecoderLimits, Event, FrameDecoder};
use tokio_tungstenite::tungstenite::{WebSocket, protocol::Role};

const MASK: [u8; 4] = [0x9a, 0x08, 0x57, 0xc6];

/// A masked frame with FIN and opcode `first`.
fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = match u8::try_from(body.len()) {
        Ok(len @ 0..126) => vec![first, 0x80 | len],
        _ => {
            let len = u16::try_from(body.len()).expect("the benches stay below 64 KiB").to_be_bytes();
            vec![first, 0xfe, len[0], len[1]]
        }
    };
    frame.extend(MASK);
    frame.extend(body.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Feeds the wire in chunks of `chunk_bytes` and returns how many messages came out.
fn decode(decoder: &mut FrameDecoder, scratch: &mut [u8], wire: &[u8], chunk_bytes: usize) -> usize {
    let mut messages = 0;
    scratch.copy_from_slice(wire);
    for chunk in scratch.chunks_mut(chunk_bytes) {
        let (mut rest, limits) = (chunk, DecoderLimits::default());
        while let Ok(Some(event)) = decoder.next(&mut rest, &limits) {
            if let Event::Message { body, .. } = event {
                black_box(body);
                messages += 1;
            }
        }
        assert!(rest.is_empty());
    }
    messages
}

/// A socket that yields the same bytes for ever, so that one tungstenite reads without being set up again.
struct Tape {
    wire: Vec<u8>,
    at: usize,
}

impl Read for Tape {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(self.wire.len() - self.at);
        buffer[..len].copy_from_slice(&self.wire[self.at..self.at + len]);
        self.at = (self.at + len) % self.wire.len();
        Ok(len)
    }
}

impl Write for Tape {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn bench_ours(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, wire: &[u8], chunk_bytes: usize, expected: usize) {
    let (mut decoder, mut scratch) = (FrameDecoder::new(), wire.to_vec());
    group.bench_function(name, |bencher| {
        bencher.iter(|| assert_eq!(decode(&mut decoder, &mut scratch, wire, chunk_bytes), expected));
    });
}

fn bench_tungstenite(group: &mut BenchmarkGroup<'_, WallTime>, wire: &[u8], expected: usize) {
    let mut socket = WebSocket::from_raw_socket(Tape { wire: wire.to_vec(), at: 0 }, Role::Server, None);
    group.bench_function("tungstenite", |bencher| {
        bencher.iter(|| {
            let bytes: usize = (0..expected).map(|_| socket.read().expect("the tape is valid").len()).sum();
            assert!(bytes > 0);
        });
    });
}

/// Measures one wire of `messages` messages, whole and, if asked for, byte by byte.
fn bench_wire(criterion: &mut Criterion, name: &str, wire: &[u8], messages: usize, throughput: Throughput) {
    let mut group = criterion.benchmark_group(format!("decoder/{name}"));
    group.throughput(throughput);
    bench_ours(&mut group, "throng", wire, wire.len(), messages);
    bench_tungstenite(&mut group, wire, messages);
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let small = frame(0x81, &[b'x'; 64]).repeat(100);
    bench_wire(&mut criterion, "64_bytes_x_100", &small, 100, Throughput::Elements(100));
    let long = frame(0x81, &[b'x'; 4096]);
    bench_wire(&mut criterion, "4_kib", &long, 1, Throughput::Bytes(4096));
    let fragment = frame(0x00, &[b'x'; 64]);
    let fragments = [frame(0x01, &[b'x'; 64]), fragment.repeat(14), frame(0x80, &[b'x'; 64])].concat();
    bench_wire(&mut criterion, "16_fragments_of_64_bytes", &fragments, 1, Throughput::Bytes(1024));

    let mut group = criterion.benchmark_group("decoder/byte_at_a_time");
    group.throughput(Throughput::Bytes(4096));
    bench_ours(&mut group, "throng", &long, 1, 1);
    group.finish();
    criterion.final_summary();
}
