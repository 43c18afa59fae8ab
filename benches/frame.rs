//! What does it cost to encode: the head of a flush, a plain line, a whole text frame?
//!
//! Not measured: the flush itself, `fan_out.rs`.

use criterion::{Criterion, Throughput};
use std::hint::black_box;
use throng::protocol::chat;
use throng::protocol::websocket::frame::{self, Head, Opcode};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let body = [b'x'; 64];
    let mut group = criterion.benchmark_group("frame");

    group.throughput(Throughput::Elements(1));
    for (len, head_len) in [(64, 2), (4096, 4), (65_536, 10)] {
        group.bench_function(format!("head_of_{len}_bytes"), |bencher| {
            bencher.iter(|| {
                // A head must be in memory to be sent: the box keeps its bytes from being optimised away.
                let head = black_box(Head::new(black_box(Opcode::Text), black_box(len)));
                assert_eq!(head.as_slice().len(), head_len);
            });
        });
    }

    group.throughput(Throughput::Bytes(64));
    group.bench_function("plain_line_of_64_bytes", |bencher| {
        bencher.iter(|| assert_eq!(chat::line(black_box(&body)).map(|line| line.len()), Ok(65)));
    });
    group.bench_function("text_frame_of_64_bytes", |bencher| {
        bencher.iter(|| assert_eq!(frame::encode(Opcode::Text, black_box(&body)).len(), 66));
    });

    group.finish();
    criterion.final_summary();
}
