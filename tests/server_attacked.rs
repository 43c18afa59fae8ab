//! A hub under attack by real programs and hostile clients: who keeps the rules is served meanwhile.

#![expect(clippy::unwrap_used, reason = "a test that can not go on has failed")]

mod support_server;

use std::collections::HashMap;
use std::process::Stdio;
use std::time::{Duration, Instant};
use support_server::process::Process;
use support_server::{Client, frame, get, handshake, within};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::Command;

/// Where those come from who keep the rules.
const HEALTHY: &str = "127.0.0.3";

async fn metrics(process: &Process) -> HashMap<String, f64> {
    let page = get(process.addr, "/metrics").await.body;
    let samples = page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    samples.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
}

async fn healthy(process: &Process) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{HEALTHY}:0").parse().unwrap()).unwrap();
    within(socket.connect(process.addr)).await.unwrap()
}

/// Connects as those do who keep the rules until `attack` ends; returns how long each took, sorted.
async fn connect_during(process: &Process, attack: impl Future) -> Vec<Duration> {
    let mut took = Vec::new();
    let mut attack = std::pin::pin!(attack);
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    loop {
        tokio::select! {
            _ = &mut attack => break,
            _ = ticks.tick() => {
                let start = Instant::now();
                drop(handshake(healthy(process).await, "/ws", b"").await);
                took.push(start.elapsed());
            }
        }
    }
    took.sort();
    took
}

/// Runs slowhttptest with 5,000 heads that never end.
async fn slow_heads(process: &Process) {
    let url = format!("http://{}/ws", process.addr);
    let mut attack = Command::new("slowhttptest");
    attack.args(["-H", "-c", "5000", "-r", "2000", "-i", "10", "-l", "10", "-p", "3", "-u", &url]);
    attack.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    within(attack.status()).await.expect("it is installed: see ./test");
}

/// Threats row 2. Without a guard per address each half-sent head lasts its five seconds, and harms nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_sent_handshakes_end_after_their_time_and_keep_nobody_out() {
    let many = ["--handshakes-max", "10000", "--handshakes-per-address-max", "10000"];
    let process = Process::start(&[&["--limits-exempt", HEALTHY], &many[..]].concat()).await;
    let took = connect_during(&process, slow_heads(&process)).await;
    let after = metrics(&process).await;
    let timeouts = after["throng_refusals_total{reason=\"timeout\"}"];
    assert!(timeouts >= 4_900.0, "{timeouts} of 5,000 were cut off by their time");
    assert!(after["throng_handshakes"] < 50.0, "none is left: {}", after["throng_handshakes"]);
    assert!(took.len() > 100 && took[took.len() * 99 / 100] < Duration::from_millis(100), "{:?}", took.last());
}

/// Threats row 2. With the guard of the defaults one address has 32 of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_sent_handshakes_of_one_address_are_never_many() {
    let process = Process::start(&["--limits-exempt", HEALTHY]).await;
    let took = connect_during(&process, slow_heads(&process)).await;
    let after = metrics(&process).await;
    assert!(after["throng_refusals_total{reason=\"handshakes_address\"}"] >= 4_900.0, "{after:?}");
    assert!(took.len() > 100 && took[took.len() * 99 / 100] < Duration::from_millis(100), "{:?}", took.last());
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

/// Threats rows 10, 15, 16, 30. What a thousand of them cost is bounded, and the others are served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_hostile_clients_cost_less_than_256_mib_and_the_others_are_served() {
    // They are many addresses in the world, and one here.
    let limits = ["connections-per-address-max", "handshakes-per-address-max", "handshake-rate-per-address-max"];
    let limits = limits.map(|limit| format!("--{limit}=2000"));
    let arguments = ["--limits-exempt", HEALTHY].into_iter().chain(limits.iter().map(String::as_str));
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
