//! What does it cost to encode: the head of a flush, a plain line, a whole text frame, a push of the Centrifuge
//! protocol?
//!
//! Not measured: the flush itself, `fan_out.rs`.

use criterion::{Criterion, Throughput};
use std::hint::black_box;
use throng::protocol::centrifuge::{Chain, Format};
use throng::protocol::encoding::Encoded;
use throng::protocol::websocket::frame::{self, Head, Opcode};
use throng::protocol::{ChannelName, Encoding, Payload, Publication, chat};

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

    let channel = ChannelName::parse("news:sport").expect("it is valid");
    let payload = Payload::line(&body).expect("it is text");
    let json = Payload::json(&format!("{:?}", "x".repeat(62)));
    for (name, format) in [("json", Format::Json), ("protobuf", Format::Protobuf)] {
        let encoding = Encoding::Centrifuge(format);
        let start = encoding.start(&channel);
        for (of, payload) in [("line", &payload), ("value", &json)] {
            let publication = Publication { offset: 1_000_000, at: 0, payload: payload.clone() };
            group.bench_function(format!("{name}_push_of_a_{of}_of_64_bytes"), |bencher| {
                bencher.iter(|| match encoding.encode(&start, black_box(&publication), &mut Chain::default()) {
                    Encoded::Push(prefix, data, _) => assert!(prefix.len() + data.len() > 84),
                    Encoded::AsPublished | Encoded::Framed(..) => unreachable!("it is a push"),
                });
            });
        }
    }

    group.finish();
    criterion.final_summary();
}
