//! What does a shard pay per publication for its log: appending, cutting a window, trimming?
//!
//! Not measured: encoding (`frame.rs`), sending (`fan_out.rs`, `socket_fan_out.rs`).

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use std::hint::black_box;
use throng::hub::shard::log::Log;

/// Publications of one pass.
const BATCH: usize = 64;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("log");
    group.throughput(Throughput::Elements(BATCH as u64));
    for len in [64, 1024, 8192] {
        let body = Bytes::from(vec![b'x'; len]);
        // What a pass does to one log: append a batch, cut it into windows, forget it.
        group.bench_function(format!("pass_of_{BATCH}_publications_of_{len}_bytes"), |bencher| {
            let mut log = Log::default();
            bencher.iter(|| {
                let from = log.head();
                for _ in 0..BATCH {
                    log.push(black_box(&body));
                }
                let (mut at, mut bytes) = (from, 0);
                while at < log.head() {
                    let to = log.window_end(at);
                    bytes += log.slices(at, to).map(<[u8]>::len).sum::<usize>();
                    at = to;
                }
                assert_eq!(bytes, BATCH * len);
                log.trim(at);
                assert!(log.is_empty());
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
