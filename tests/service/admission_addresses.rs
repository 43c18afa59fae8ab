//! Limits and rates per address: at the limit, one past it, and exempt addresses.

use crate::server::{Answer, FrozenClock, TestServer, exchange, get, start, within};
use std::net::SocketAddr;
use std::time::Duration;
use throng::config::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A handshake of a client that a balancer on this machine speaks for.
fn request(client: &str) -> String {
    format!(
        "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Forwarded-For: {client}\r\n\r\n"
    )
}

/// Nobody is exempt, and this machine is a balancer.
fn behind_a_balancer(config: &mut Config) {
    config.access.limits_exempt = Vec::new();
    config.access.trusted_proxies = vec!["127.0.0.1/32".parse().expect("it is a network")];
}

/// Connects a client; returns the head of the answer, and the connection.
async fn connect(addr: SocketAddr, client: &str) -> (u16, Option<u64>, TcpStream) {
    let mut stream = TcpStream::connect(addr).await.expect("it listens");
    stream.write_all(request(client).as_bytes()).await.expect("a head fits the socket");
    let mut answer = Vec::new();
    while !answer.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        assert_ne!(within(stream.read_buf(&mut answer)).await.expect("it answers"), 0);
    }
    let answer = Answer::parse(answer);
    let retry_after = answer.header("Retry-After").and_then(|seconds| seconds.parse().ok());
    (answer.status, retry_after, stream)
}

async fn statuses(server: &TestServer, client: &str, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(connect(server.addr, client).await.0);
    }
    statuses
}

/// docs/threats.md, row 13. One client must not take the places of all.
#[tokio::test]
async fn address_has_so_many_connections_and_who_leaves_makes_room() {
    let server = start(|config| {
        behind_a_balancer(config);
        config.admission.connections_per_address_max = 2;
    })
    .await;
    let first = connect(server.addr, "192.0.2.1").await;
    let second = connect(server.addr, "192.0.2.1").await;
    assert_eq!((first.0, second.0), (101, 101));
    let (status, retry_after, _) = connect(server.addr, "192.0.2.1").await;
    assert_eq!(status, 429);
    assert!(retry_after.is_some_and(|seconds| seconds >= 1));
    assert_eq!(connect(server.addr, "192.0.2.2").await.0, 101, "another client is not concerned");
    drop(first);
    server.counted(|counts| counts.connections == 1).await;
    assert_eq!(connect(server.addr, "192.0.2.1").await.0, 101);
}

/// docs/threats.md, row 13. An IPv6 customer has a network of addresses, and counts as one.
#[tokio::test]
async fn ipv6_clients_of_one_64_share_a_limit() {
    let server = start(|config| {
        behind_a_balancer(config);
        config.admission.connections_per_address_max = 1;
    })
    .await;
    let _first = connect(server.addr, "2001:db8::1").await;
    assert_eq!(connect(server.addr, "2001:db8::2").await.0, 429);
    assert_eq!(connect(server.addr, "2001:db8:0:1::1").await.0, 101);
}

/// docs/threats.md, row 3. Forty at once by default, and then as fast as the rate.
#[tokio::test]
async fn address_that_connects_too_fast_is_told_when_to_come_back() {
    let server = start(|config| {
        behind_a_balancer(config);
        config.admission.handshake_rate_per_address_max = 1;
    })
    .await;
    let clock = FrozenClock::new();
    assert_eq!(statuses(&server, "192.0.2.1", 4).await, [101; 4]);
    let (status, retry_after, _) = connect(server.addr, "192.0.2.1").await;
    assert_eq!(status, 429);
    assert!(
        retry_after.is_some_and(|seconds| (1..=2).contains(&seconds)),
        "a second, spread over two: {retry_after:?}"
    );
    assert_eq!(connect(server.addr, "192.0.2.2").await.0, 101);
    let answer = exchange(server.addr, request("192.0.2.1").as_bytes()).await;
    assert!(answer.body.contains("connects too fast"), "{}", answer.body);
    clock.pass(Duration::from_secs(1)).await;
    assert_eq!(statuses(&server, "192.0.2.1", 2).await, [101, 429], "one a second");
}

/// docs/threats.md, row 3. A flood from everywhere must not take the cores from open connections.
#[tokio::test]
async fn everybody_together_connects_as_fast_as_the_total_rate() {
    let server = start(|config| {
        behind_a_balancer(config);
        config.admission.handshake_rate_max = 1;
    })
    .await;
    let _clock = FrozenClock::new();
    for (client, status) in [("192.0.2.1", 101), ("192.0.2.2", 101), ("192.0.2.3", 503)] {
        assert_eq!(connect(server.addr, client).await.0, status, "{client}");
    }
    let page = get(server.addr, "/metrics").await.body;
    assert!(page.contains("throng_refusals_total{reason=\"rate_total\"} 1"), "{page}");
}

/// A local load test measures the hub, and not its guard.
#[tokio::test]
async fn who_is_exempt_has_no_limit_per_address() {
    let server = start(|config| {
        config.admission.connections_per_address_max = 1;
        config.admission.handshake_rate_per_address_max = 1;
        config.admission.handshake_rate_max = 1;
    })
    .await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(server.connect("/ws").await);
    }
}

/// docs/threats.md, row 23. Only a trusted proxy may name the client it forwards for.
#[tokio::test]
async fn forged_header_of_a_stranger_changes_nothing() {
    let server = start(|config| {
        behind_a_balancer(config);
        config.access.trusted_proxies = vec!["192.0.2.99/32".parse().expect("it is a network")];
        config.admission.connections_per_address_max = 1;
    })
    .await;
    let _first = connect(server.addr, "192.0.2.1").await;
    assert_eq!(connect(server.addr, "192.0.2.2").await.0, 429, "both are 127.0.0.1");
}

/// docs/threats.md, row 24. The header is required where it is configured, and is all that counts there.
#[tokio::test]
async fn proxy_protocol_names_the_client_and_is_required_where_it_is_configured() {
    let server = start(|config| {
        behind_a_balancer(config);
        config.addr = vec!["proxy+127.0.0.1:0".parse().expect("it is an address")];
        config.admission.connections_per_address_max = 1;
    })
    .await;
    let through = async |header: &[u8]| {
        let mut stream = TcpStream::connect(server.addr).await.expect("it listens");
        let request = request("").replace("X-Forwarded-For: \r\n", "");
        stream.write_all(&[header, request.as_bytes()].concat()).await.expect("a head fits the socket");
        let mut start = vec![0; 12];
        let taken = within(stream.read_exact(&mut start)).await;
        (taken.map(|_| String::from_utf8_lossy(&start).into_owned()).unwrap_or_default(), stream)
    };
    let first = through(b"PROXY TCP4 192.0.2.1 127.0.0.1 4711 80\r\n").await;
    assert_eq!(first.0, "HTTP/1.1 101");
    assert_eq!(through(b"PROXY TCP4 192.0.2.1 127.0.0.1 4712 80\r\n").await.0, "HTTP/1.1 429");
    assert_eq!(through(b"PROXY TCP4 192.0.2.2 127.0.0.1 4713 80\r\n").await.0, "HTTP/1.1 101");
    assert_eq!(through(b"").await.0, "", "closed without a word");
    assert_eq!(server.hub().metrics().process.read().refusals.iter().sum::<u64>(), 2);
}

/// docs/threats.md, row 24. Never guessed: where it is not configured it is no request.
#[tokio::test]
async fn proxy_header_elsewhere_is_a_bad_request() {
    let server = start(|_| {}).await;
    let answer = exchange(server.addr, b"PROXY TCP4 192.0.2.1 127.0.0.1 4711 80\r\nGET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(answer.status, 400);
}

/// docs/threats.md, row 30. When memory is short, new connections are refused and open ones stay.
#[tokio::test]
async fn short_memory_refuses_newcomers_and_takes_the_hub_out_of_its_balancer() {
    let server = start(|config| config.admission.memory_max = u64::MAX).await;
    let mut client = server.connect("/ws").await;
    assert_eq!(get(server.addr, "/health/ready").await.status, 200);
    // The smallest budget, which this process uses up by itself.
    let ballast = std::hint::black_box(vec![1_u8; 64 << 20]);
    let short = start(|config| config.admission.memory_max = 41 << 20).await;
    within(async { while get(short.addr, "/health/ready").await.status == 200 {} }).await;
    assert_eq!(get(short.addr, "/health/ready").await.body, "out of memory\n");
    assert_eq!(connect(short.addr, "").await.0, 503);
    client.round_trip().await;
    drop(ballast);
}

/// docs/threats.md, row 13. A balancer looks elsewhere, and a supervisor does not restart it.
#[tokio::test]
async fn full_hub_is_alive_and_not_ready() {
    let server = start(|config| config.limits.connections_max = 1).await;
    let _only = server.connect("/ws").await;
    let ready = get(server.addr, "/health/ready").await;
    assert_eq!((ready.status, &*ready.body), (503, "full\n"));
    assert_eq!(get(server.addr, "/health/live").await.status, 200);
}

/// docs/threats.md, row 2. Handshakes that never end make room for each other, and do not lock out other addresses.
#[tokio::test]
async fn unfinished_handshakes_of_one_address_make_room_for_its_next_one() {
    let server = start(|config| {
        config.access.limits_exempt = Vec::new();
        config.admission.handshakes_per_address_max = 3;
        config.sockets.handshake_timeout = Duration::from_secs(3600);
    })
    .await;
    let mut slow = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(server.addr).await.expect("it listens");
        stream.write_all(b"GET /ws HTTP/1.1\r\nX-Slow: ").await.expect("a head fits the socket");
        slow.push(stream);
        let open = slow.len() as u64;
        within(async {
            while server.handshakes() < open {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    let _fourth = TcpStream::connect(server.addr).await.expect("it listens");
    assert_eq!(within(slow[0].read(&mut [0; 1])).await.unwrap_or(0), 0, "the oldest one is cut off");
    let refused = server.hub().metrics().process.read().refusals.iter().sum::<u64>();
    assert!(refused >= 1, "and counted");
}
