//! What does a delivery cost on real sockets, beside a bare loop of writes over the very same sockets: the floor?
//!
//! One thread, loopback, the peers drained outside the measured time. On loopback a write does the receiver's TCP work
//! too, so the ratio to the floor means something here and the absolute figure does not. Not measured: latency,
//! wake-ups and readers; those are the load generator's.

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use socket2::SockRef;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};
use throng::config::{Config, Limits};
use throng::hub::{Channel, Hub, Shard};
use throng::metrics::Metrics;
use throng::protocol::frame::{self, Opcode};
use throng::protocol::{ChannelName, Encoding, plain};
use throng::transport::socket::SocketSink;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

const RECEIVERS: usize = 1_000;

/// A shard whose subscribers are sockets, and the other ends of them.
struct Bench {
    hub: Hub<SocketSink>,
    shard: Shard<SocketSink>,
    channel: Arc<Channel>,
    servers: Vec<Arc<TcpStream>>,
    peers: Vec<std::net::TcpStream>,
    scratch: Vec<u8>,
}

impl Bench {
    async fn new() -> std::io::Result<Self> {
        let limits = Limits { connections_max: RECEIVERS, ..Config::default().limits };
        let (hub, mut shards) = Hub::new(&limits, Arc::new(Metrics::new(1)));
        let mut shard = shards.pop().expect("one was asked for");
        let name = ChannelName::parse("lobby").expect("it is valid");
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (mut channel, mut servers, mut peers) = (None, Vec::new(), Vec::new());
        for _ in 0..RECEIVERS {
            let (peer, accepted) = tokio::join!(TcpStream::connect(listener.local_addr()?), listener.accept());
            let (peer, server) = (peer?.into_std()?, Arc::new(accepted?.0));
            peer.set_nonblocking(true)?;
            server.set_nodelay(true)?;
            let credit = || hub.inbox(0).try_take(1).expect("every pass gives credits back");
            let sink = SocketSink::new(Arc::clone(&server));
            let id = hub.connect(hub.place().expect("there is room"), sink, credit());
            channel = hub.subscribe(id, &name, Encoding::Lines, credit()).ok();
            pass(&mut shard);
            peers.push(peer);
            servers.push(server);
        }
        let channel = channel.expect("somebody subscribed");
        Ok(Self { hub, shard, channel, servers, peers, scratch: vec![0; 1 << 20] })
    }

    /// The hub's way: publish, one pass.
    fn hub(&mut self, body: &Bytes, messages: usize) {
        for _ in 0..messages {
            let mut credits = self.hub.credits(body.len());
            self.hub.publish(&self.channel, body, &mut credits).expect("a batch fits the inbox");
        }
        pass(&mut self.shard);
    }

    /// The floor: one write of the frames per socket, and nothing else.
    fn floor(&self, frames: &[u8], messages: usize) {
        let slices = vec![IoSlice::new(frames); messages];
        for server in &self.servers {
            let socket = SockRef::from(&**server);
            let sent = if messages == 1 { socket.send(frames) } else { socket.send_vectored(&slices) };
            assert_eq!(sent.ok(), Some(frames.len() * messages));
        }
    }

    /// Reads what the peers got and returns the bytes of each.
    fn drain(&mut self) -> usize {
        let mut total = 0;
        for peer in &self.peers {
            while let Ok(taken) = std::io::Read::read(&mut &*peer, &mut self.scratch) {
                assert_ne!(taken, 0, "nobody hangs up");
                total += taken;
            }
        }
        assert_eq!(total % RECEIVERS, 0, "everybody gets the same");
        total / RECEIVERS
    }
}

fn pass(shard: &mut Shard<SocketSink>) {
    shard.begin_pass(Duration::ZERO);
    while shard.step() {}
    shard.end_pass();
}

fn main() -> std::io::Result<()> {
    let runtime = Runtime::new()?;
    let _context = runtime.enter();
    let mut bench = runtime.block_on(Bench::new())?;
    let mut criterion = Criterion::default().configure_from_args().sample_size(20);
    let mut group = criterion.benchmark_group("socket_fan_out");
    let body = plain::line(&[b'x'; 64]).expect("it is text");
    let frame = frame::encode(Opcode::Text, &[b'x'; 64]);
    for messages in [1, 16, 64] {
        let messages = std::hint::black_box(messages);
        group.throughput(Throughput::Elements((RECEIVERS * messages) as u64));
        group.bench_function(BenchmarkId::new("floor", messages), |bencher| {
            bencher.iter_custom(|rounds| {
                timed(&mut bench, rounds, |bench| bench.floor(&frame, messages), frame.len() * messages)
            });
        });
        // One head for the run, and a newline between any two of its lines.
        let lines = messages * body.len() - 1;
        let wire = frame::Head::new(Opcode::Text, lines).as_slice().len() + lines;
        group.bench_function(BenchmarkId::new("hub", messages), |bencher| {
            bencher.iter_custom(|rounds| timed(&mut bench, rounds, |bench| bench.hub(&body, messages), wire));
        });
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}

fn timed(bench: &mut Bench, rounds: u64, mut write: impl FnMut(&mut Bench), bytes: usize) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..rounds {
        let start = Instant::now();
        write(bench);
        total += start.elapsed();
        assert_eq!(bench.drain(), bytes, "nothing is lost");
    }
    total
}
