//! A hub under attack by real programs and hostile clients: well-behaved clients are served meanwhile.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "common/server/mod.rs"]
mod server;

use server::http::read_to_end;
use server::process::Process;
use server::{Client, frame, handshake, within};
use std::cell::Cell;
use std::collections::HashMap;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::Command;
use tokio::time::MissedTickBehavior;

/// Address of the well-behaved clients.
const HEALTHY: &str = "127.0.0.3";

/// A metrics page, asked for by a client that no limit concerns.
async fn metrics(process: &Process) -> HashMap<String, f64> {
    let mut stream = healthy(process).await;
    let request = b"GET /metrics HTTP/1.1\r\nHost: throng.test\r\nConnection: close\r\n\r\n";
    within(stream.write_all(request)).await.unwrap();
    let page = read_to_end(&mut stream).await.body;
    let samples = page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    samples.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
}

fn refusals(metrics: &HashMap<String, f64>, reason: &str) -> f64 {
    metrics[&format!("throng_refusals_total{{reason=\"{reason}\"}}")]
}

async fn healthy(process: &Process) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{HEALTHY}:0").parse().unwrap()).unwrap();
    within(socket.connect(process.addr)).await.unwrap()
}

/// What was seen while clients that keep the rules connected, one after the other. Each got its 101.
#[derive(Default)]
struct Served {
    took: Vec<Duration>,
    /// Handshakes in progress when one of them had just been answered, at most.
    in_progress_max: f64,
}

impl Served {
    async fn connect(&mut self, process: &Process) {
        let start = Instant::now();
        drop(handshake(healthy(process).await, "/ws", b"").await);
        self.took.push(start.elapsed());
        self.in_progress_max = self.in_progress_max.max(metrics(process).await["throng_handshakes"]);
    }

    async fn connect_often(&mut self, process: &Process) {
        for _ in 0..50 {
            self.connect(process).await;
        }
    }

    fn median(&mut self) -> Duration {
        self.took.sort();
        self.took[self.took.len() / 2]
    }

    fn longest(&self) -> Duration {
        self.took.iter().copied().max().unwrap_or_default()
    }
}

/// Connects as clients that keep the rules do until `attack` ends, and for a while before it and after it, since what
/// else the machine does may begin in between. Under attack most of them take at most a hundred times as long.
async fn connect_during<T>(process: &Process, attack: impl Future<Output = T>) -> (T, Served) {
    let (mut before, mut attacked, mut after) = (Served::default(), Served::default(), Served::default());
    before.connect_often(process).await;
    let is_over = Cell::new(false);
    let attack = async {
        let ended = attack.await;
        is_over.set(true);
        ended
    };
    let others = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !is_over.get() {
            ticks.tick().await;
            attacked.connect(process).await;
        }
    };
    let (ended, ()) = tokio::join!(attack, others);
    after.connect_often(process).await;
    let (before, median, after) = (before.median(), attacked.median(), after.median());
    assert!(median < 100 * before.max(after), "{median:?} under attack, {before:?} before, {after:?} after");
    (ended, attacked)
}

/// Runs slowhttptest with 5,000 heads that never end; returns how many of them it opened. It ends by itself when the
/// hub has ended them all, however long it took to open them.
async fn slow_heads(process: &Process) -> f64 {
    let (url, folder) = (format!("http://{}/ws", process.addr), tempfile::tempdir().unwrap());
    let mut attack = Command::new("slowhttptest");
    attack.args(["-H", "-c", "5000", "-r", "2000", "-i", "10", "-l", "120", "-p", "3", "-u", &url, "-g", "-o"]);
    attack.arg(folder.path().join("seen"));
    attack.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    within(attack.status()).await.expect("it is installed: see ./test");
    // A row a second: the second, then connections closed, pending and connected, those that failed left out.
    let seen = std::fs::read_to_string(folder.path().join("seen.csv")).unwrap();
    let last = seen.lines().last().unwrap().split(',').skip(1).take(3);
    last.map(|field| field.trim().parse::<f64>().unwrap()).sum()
}

/// docs/threats.md, row 2. Without a guard per address each half-sent head lasts its time, and harms no other client.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_sent_handshakes_end_after_their_time_and_keep_nobody_out() {
    // Long, so that a client that had to wait for an attacker's end would stand out on any machine.
    let time = Duration::from_secs(20);
    let many = ["--handshakes-max", "10000", "--handshakes-per-address-max", "10000", "--handshake-timeout", "20s"];
    let process = Process::start(&[&["--limits-exempt", HEALTHY], &many[..]].concat()).await;
    let (opened, served) = connect_during(&process, slow_heads(&process)).await;
    assert!(served.in_progress_max > 100.0, "{} at once are no attack", served.in_progress_max);
    assert!(served.longest() < time / 2, "{:?}: one was kept out", served.longest());
    let after = metrics(&process).await;
    let timeouts = refusals(&after, "timeout");
    assert!(opened > 0.0 && timeouts >= opened, "{timeouts} of {opened} were cut off by their time");
    assert!(after["throng_handshakes"] < 50.0, "none is left: {}", after["throng_handshakes"]);
}

/// docs/threats.md, row 2. With the guard of the defaults one address has 32 of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_sent_handshakes_of_one_address_are_never_many() {
    let process = Process::start(&["--limits-exempt", HEALTHY]).await;
    let (opened, served) = connect_during(&process, slow_heads(&process)).await;
    // Its own, and the one that asks; that of a healthy client may not have ended yet.
    assert!(served.in_progress_max <= 34.0, "{} at once", served.in_progress_max);
    let after = metrics(&process).await;
    let (cut, timeouts) = (refusals(&after, "handshakes_address"), refusals(&after, "timeout"));
    // Of attackers that come slowly some have ended by their time already when the next one comes.
    assert!(cut > 0.0 && cut + timeouts >= opened, "{cut} made room and {timeouts} timed out, of {opened}");
}

/// A client that does what it should not, in one of many ways.
async fn hostile(addr: std::net::SocketAddr, kind: usize) -> Option<TcpStream> {
    let stream = TcpStream::connect(addr).await.ok()?;
    if kind == 0 {
        let mut stream = stream;
        stream.write_all(b"GET /ws HTTP/1.1\r\nX-Slow: ").await.ok()?;
        return Some(stream);
    }
    let (mut stream, _) = handshake(stream, "/ws", b"").await;
    let bytes = match kind {
        // Half of a large message, which the hub has to keep.
        1 => frame(0x81, &[b'x'; 60_000])[..59_000].to_vec(),
        // A flood of messages, which every hostile client receives and none reads.
        2 => frame(0x81, &[b'x'; 1_000]).repeat(200),
        3 => frame(0x89, b"ping").repeat(1_000),
        // It never reads.
        _ => Vec::new(),
    };
    // It may be closed for it already.
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.write_all(&bytes)).await;
    Some(stream)
}

/// docs/threats.md, rows 10, 15, 16, 30. What a thousand of them cost is bounded, and the others are served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_hostile_clients_cost_less_than_256_mib_and_the_others_are_served() {
    // They are many addresses in the world, and one here.
    let limits = ["connections-per-address-max", "handshakes-per-address-max", "handshake-rate-per-address-max"];
    let limits = limits.map(|limit| format!("--{limit}=2000"));
    // A thousand connect at once: how soon each gets to send its head is the machine's business.
    let fixed = ["--limits-exempt", HEALTHY, "--handshake-timeout", "60s"];
    let arguments = fixed.into_iter().chain(limits.iter().map(String::as_str));
    let process = Process::start(&arguments.collect::<Vec<_>>()).await;
    let before = metrics(&process).await["process_resident_memory_bytes"];
    let mut crowd = tokio::task::JoinSet::new();
    for number in 0..1_000 {
        crowd.spawn(hostile(process.addr, number % 5));
    }
    let held = within(crowd.join_all()).await;
    let mut talker = Client::over(healthy(&process).await, "/ws?channel=quiet").await;
    let mut listener = Client::over(healthy(&process).await, "/ws?channel=quiet").await;
    let mut most = 0.0_f64;
    for number in 0..50 {
        talker.send(number.to_string()).await;
        assert_eq!(listener.line().await, number.to_string());
        assert_eq!(talker.line().await, number.to_string());
        most = most.max(metrics(&process).await["process_resident_memory_bytes"]);
    }
    assert!(most - before < 256.0 * 1024.0 * 1024.0, "{before} -> {most}");
    drop(held);
}
