//! What does an encrypted delivery cost, compared with a plain one?
//!
//! One thread and its CPU time, loopback, both in turns, each over its own sockets of the same kind; the peers are
//! drained outside the measured time, by another process, which does not decrypt. The ratio is that of the throughput
//! of one core. Not measured: handshakes, and what readers pay to decrypt.

#[path = "../tests/common/sockets/mod.rs"]
mod sockets;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{CipherSuite, ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use sockets::{Duel, Peers, Room, is_test, say};
use std::sync::Arc;
use std::time::Duration;
use throng::hub::Channel;
use throng::net::socket::{Socket, SocketSink};
use throng::protocol::Payload;
use throng::protocol::websocket::frame::{Head, Opcode};
use tokio::runtime::Runtime;

/// As the binary has it: each record is an allocation.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RECEIVERS: usize = 1_000;

/// Bytes of a message, and how many come at once.
const CASES: [(usize, &[usize]); 2] = [(64, &[1, 16]), (1024, &[1, 8])];

/// What TLS 1.3 adds to a record: a head, a type and a tag, RFC 8446 section 5.2.
const RECORD_OVERHEAD: usize = 5 + 1 + 16;

/// Plain bytes of the largest record.
const RECORD_BYTES: usize = 16 * 1024;

/// What is compared, in the order of a round.
const PLAIN: usize = 0;
const ENCRYPTED: usize = 1;

const NAME: &str = "throng.test";

/// Both ends of TLS, that shake hands in memory: what follows is the same as over a network.
struct Ends {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Ends {
    fn new() -> Self {
        let identity = rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("a name is all it needs");
        let mut provider = rustls::crypto::ring::default_provider();
        // What browsers ask for first, and so get.
        provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
        let provider = Arc::new(provider);
        let key = PrivateKeyDer::try_from(identity.signing_key.serialize_der()).expect("it is one");
        let certificate = identity.cert.der().clone();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).expect("it is one");
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let server = server.expect("it has some").with_no_client_auth().with_single_cert(vec![certificate], key);
        let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let client = client.expect("it has some").with_root_certificates(roots).with_no_client_auth();
        Self { server: Arc::new(server.expect("the key fits")), client: Arc::new(client) }
    }

    /// Returns the server's end of a new connection.
    fn shake_hands(&self) -> ServerConnection {
        let name = ServerName::try_from(NAME).expect("it is one");
        let mut client = ClientConnection::new(Arc::clone(&self.client), name).expect("it is complete");
        let mut server = ServerConnection::new(Arc::clone(&self.server)).expect("it is complete");
        while client.is_handshaking() || server.is_handshaking() || server.wants_write() {
            let mut flight = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut flight).expect("memory takes all");
            }
            pass_on(&mut flight, |bytes| server.read_tls(bytes));
            server.process_new_packets().expect("the client keeps the rules");
            while server.wants_write() {
                server.write_tls(&mut flight).expect("memory takes all");
            }
            pass_on(&mut flight, |bytes| client.read_tls(bytes));
            client.process_new_packets().expect("so does the server");
        }
        server
    }
}

fn pass_on(flight: &mut Vec<u8>, mut read: impl FnMut(&mut &[u8]) -> std::io::Result<usize>) {
    let mut left = flight.as_slice();
    while !left.is_empty() {
        read(&mut left).expect("a flight fits");
    }
    flight.clear();
}

/// Sockets of one kind, and a shard that has all of them in one channel.
struct Side {
    peers: Peers,
    room: Room<SocketSink>,
    channel: Arc<Channel>,
}

impl Side {
    async fn new(receivers: usize, kind: impl Fn(tokio::net::TcpStream) -> Socket) -> std::io::Result<Self> {
        let peers = Peers::connect_as(receivers, kind).await?;
        let mut room = Room::new(peers.servers.iter().map(|server| SocketSink::new(Arc::clone(server))));
        let channels: Vec<_> = (0..receivers).map(|member| room.subscribe(member, "lobby")).collect();
        let channel = Arc::clone(&channels[0]);
        Ok(Self { peers, room, channel })
    }

    fn write(&mut self, body: &Payload, messages: usize) {
        for _ in 0..messages {
            self.room.publish(&self.channel, body);
        }
        self.room.pass();
    }
}

/// Writes the same messages both ways and returns the time of the encrypted one.
fn round(sides: &mut [Side; 2], body: &Payload, messages: usize, duel: &mut Duel) -> Duration {
    // One head for the run, and a newline between any two of its lines.
    let lines = messages * body.len() - 1;
    let frame = Head::new(Opcode::Text, lines).as_slice().len() + lines;
    let records = frame.div_ceil(RECORD_BYTES);
    let [plain, encrypted] = sides;
    duel.time(|| plain.write(body, messages));
    plain.peers.drain(plain.peers.servers.len() * frame);
    let spent = duel.time(|| encrypted.write(body, messages));
    encrypted.peers.drain(encrypted.peers.servers.len() * (frame + records * RECORD_OVERHEAD));
    duel.end_round();
    spent
}

fn main() -> std::io::Result<()> {
    if Peers::hold_if_asked()? {
        return Ok(());
    }
    let runtime = Runtime::new()?;
    let _context = runtime.enter();
    let receivers = if is_test() { RECEIVERS / 100 } else { RECEIVERS };
    let ends = Ends::new();
    let encrypted = |stream| Socket::encrypted(stream, ends.shake_hands());
    let mut sides =
        [runtime.block_on(Side::new(receivers, Socket::plain))?, runtime.block_on(Side::new(receivers, encrypted))?];
    let mut criterion = Criterion::default().configure_from_args().sample_size(20);
    let mut group = criterion.benchmark_group("tls_fan_out");
    group.sampling_mode(SamplingMode::Flat);
    for (len, bursts) in CASES {
        let body = Payload::line(&vec![b'x'; len]).expect("it is text");
        for messages in bursts {
            let mut duel = Duel::default();
            group.throughput(Throughput::Elements((receivers * messages) as u64));
            group.bench_function(BenchmarkId::new(format!("{messages}_of"), len), |bencher| {
                bencher.iter_custom(|rounds| (0..rounds).map(|_| round(&mut sides, &body, *messages, &mut duel)).sum());
            });
            if !duel.is_empty() {
                let [plain, encrypted] = [PLAIN, ENCRYPTED].map(|way| duel.micros(way, receivers * messages));
                let throughput = duel.ratio(PLAIN, ENCRYPTED);
                say(format_args!(
                    "{messages} of {len} B at once to {receivers}: plain {plain:.3}, encrypted {encrypted:.3} us per \
                     delivery, throughput {throughput:.3} of plain"
                ));
            }
        }
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}
