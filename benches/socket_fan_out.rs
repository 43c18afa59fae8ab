//! What does a delivery cost on real sockets, compared with a bare loop of writes over the same sockets, the floor? And
//! does it grow faster than the floor when there are more of them?
//!
//! One thread and its CPU time, loopback, hub and floor in turns; the peers are drained outside the measured time, by
//! another process. On loopback a write does the receiver's TCP work too, so the ratio to the floor means something
//! here and the absolute figure does not. Not measured: latency, wake-ups and readers; those are the load generator's.

#[path = "../tests/common/sockets/mod.rs"]
mod sockets;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use sockets::{Duel, Peers, Room, is_test, say};
use std::sync::Arc;
use std::time::Duration;
use throng::hub::Channel;
use throng::net::socket::SocketSink;
use throng::protocol::Payload;
use throng::protocol::websocket::frame::{self, Opcode};
use tokio::runtime::Runtime;

/// Receivers, and how many messages come at once.
const CASES: [(usize, &[usize]); 3] = [(1_000, &[1, 16, 64]), (10_000, &[1]), (15_000, &[1])];

/// What is compared, in the order of a round.
const FLOOR: usize = 0;
const HUB: usize = 1;

/// Sockets, and a shard that has all of them in one channel.
struct Bench {
    peers: Peers,
    room: Room<SocketSink>,
    channel: Arc<Channel>,
    body: Payload,
    frame: Bytes,
}

impl Bench {
    async fn new(receivers: usize) -> std::io::Result<Self> {
        let peers = Peers::connect(receivers).await?;
        let mut room = Room::new(peers.servers.iter().map(|server| SocketSink::new(Arc::clone(server))));
        let channels: Vec<_> = (0..receivers).map(|member| room.subscribe(member, "lobby")).collect();
        let channel = Arc::clone(&channels[0]);
        let body = Payload::line(&[b'x'; 64]).expect("it is text");
        Ok(Self { peers, room, channel, body, frame: frame::encode(Opcode::Text, &[b'x'; 64]) })
    }

    /// Writes the same messages both ways and returns the hub's time.
    fn round(&mut self, messages: usize, duel: &mut Duel) -> Duration {
        let receivers = self.peers.servers.len();
        duel.time(|| self.peers.write(0..receivers, &self.frame, messages));
        self.peers.drain(receivers * messages * self.frame.len());
        let spent = duel.time(|| {
            for _ in 0..messages {
                self.room.publish(&self.channel, &self.body);
            }
            self.room.pass();
        });
        // One head for the run, and a newline between any two of its lines.
        let lines = messages * self.body.len() - 1;
        self.peers.drain(receivers * (frame::Head::new(Opcode::Text, lines).as_slice().len() + lines));
        duel.end_round();
        spent
    }
}

fn main() -> std::io::Result<()> {
    if Peers::hold_if_asked()? {
        return Ok(());
    }
    let runtime = Runtime::new()?;
    let _context = runtime.enter();
    let mut criterion = Criterion::default().configure_from_args().sample_size(20);
    let mut group = criterion.benchmark_group("socket_fan_out");
    group.sampling_mode(SamplingMode::Flat);
    let mut lone = Vec::new();
    for (receivers, bursts) in CASES {
        let receivers = if is_test() { receivers / 100 } else { receivers };
        if !Peers::may_have(receivers) {
            say(format_args!("skipped {receivers} receivers: this process may not open as many sockets (ulimit -n)"));
            continue;
        }
        let mut bench = runtime.block_on(Bench::new(receivers))?;
        for messages in bursts {
            let mut duel = Duel::default();
            group.throughput(Throughput::Elements((receivers * messages) as u64));
            group.bench_function(BenchmarkId::new(format!("{messages}_to"), receivers), |bencher| {
                bencher.iter_custom(|rounds| (0..rounds).map(|_| bench.round(*messages, &mut duel)).sum());
            });
            say_ratio(receivers, *messages, &duel);
            if *messages == 1 && !duel.is_empty() {
                lone.push((receivers, [FLOOR, HUB].map(|way| duel.micros(way, receivers))));
            }
        }
    }
    group.finish();
    if let [(fewest, base), .., (most, last)] = lone[..] {
        let [floor, hub] = [FLOOR, HUB].map(|way| last[way] / base[way]);
        let growth = hub / floor;
        say(format_args!(
            "growth of a delivery from {fewest} to {most} receivers: floor {floor:.2}, hub {hub:.2}, ratio {growth:.3}"
        ));
    }
    criterion.final_summary();
    Ok(())
}

fn say_ratio(receivers: usize, messages: usize, duel: &Duel) {
    if duel.is_empty() {
        return;
    }
    let [floor, hub] = [FLOOR, HUB].map(|way| duel.micros(way, receivers * messages));
    let ratio = duel.ratio(HUB, FLOOR);
    say(format_args!(
        "{messages} at once to {receivers}: floor {floor:.3}, hub {hub:.3} us per delivery, ratio {ratio:.3}"
    ));
}
