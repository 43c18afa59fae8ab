//! Who the client is, behind balancers and PROXY headers, and what a crowd behind one address gets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::server::{Answer, FrozenClock, TestServer, exchange, start, within};
use std::net::SocketAddr;
use std::time::Duration;
use throng::config::{Config, ForwardedHeader, MetricsAccess};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// A handshake with further header lines.
fn handshake(lines: &str) -> String {
    format!(
        "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
    )
}

/// Reads the head of an answer.
async fn answer(stream: &mut TcpStream) -> Answer {
    let mut answer = Vec::new();
    while !answer.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        assert_ne!(within(stream.read_buf(&mut answer)).await.unwrap(), 0, "cut without an answer");
    }
    Answer::parse(answer)
}

/// Connects with bytes before the handshake and lines in it; returns the status, and the connection.
async fn connect(addr: SocketAddr, before: &[u8], lines: &str) -> (u16, TcpStream) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(&[before, handshake(lines).as_bytes()].concat()).await.unwrap();
    (answer(&mut stream).await.status, stream)
}

/// This machine is a balancer, each of whose clients may have one connection. Loopback is exempt, as by default.
fn one_each(config: &mut Config) {
    config.access.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    config.admission.connections_per_address_max = 1;
}

fn refusals(server: &TestServer) -> u64 {
    server.hub().metrics().process.read().refusals.iter().sum()
}

/// A client writes the headers that its balancer does not know, to be somebody else or this machine.
#[tokio::test]
async fn forged_forwarded_header_beside_that_of_the_balancer_changes_nothing() {
    let server = start(one_each).await;
    let by_the_balancer = "X-Forwarded-For: 198.51.100.7\r\n";
    let first = connect(server.addr, b"", by_the_balancer).await;
    assert_eq!(first.0, 101);
    for forged in [
        "",
        "Forwarded: for=203.0.113.9\r\n",
        "Forwarded: for=127.0.0.1\r\n",
        "X-Real-IP: 127.0.0.1\r\n",
        "CF-Connecting-IP: 127.0.0.1\r\nTrue-Client-IP: 127.0.0.1\r\n",
    ] {
        let lines = format!("{by_the_balancer}{forged}");
        assert_eq!(connect(server.addr, b"", &lines).await.0, 429, "{forged}");
    }
}

/// An address that is only text never gives the exemptions that this machine has.
#[tokio::test]
async fn forwarded_loopback_address_is_not_exempt() {
    for (header, lines) in [
        (ForwardedHeader::XForwardedFor, "X-Forwarded-For: 127.0.0.1\r\n"),
        (ForwardedHeader::XForwardedFor, "X-Forwarded-For: ::1\r\n"),
        (ForwardedHeader::XForwardedFor, "X-Forwarded-For: ::ffff:127.0.0.1\r\n"),
        (ForwardedHeader::XForwardedFor, "X-Forwarded-For: unknown\r\n"),
        (ForwardedHeader::Forwarded, "Forwarded: for=127.0.0.1\r\n"),
        (ForwardedHeader::None, "X-Forwarded-For: 198.51.100.7\r\n"),
    ] {
        let server = start(|config| {
            one_each(config);
            config.access.forwarded_header = header;
        })
        .await;
        let first = connect(server.addr, b"", lines).await;
        let second = connect(server.addr, b"", lines).await;
        assert_eq!((first.0, second.0), (101, 429), "{lines}");
    }
    // A load test on this machine, beside the balancer, has no limits still.
    let server = start(one_each).await;
    let own = [connect(server.addr, b"", "").await, connect(server.addr, b"", "").await];
    assert!(own.iter().all(|(status, _)| *status == 101));
}

/// The operator's choice decides, whichever other headers are there.
#[tokio::test]
async fn only_the_chosen_header_counts() {
    let both = "X-Forwarded-For: 198.51.100.7\r\nForwarded: for=203.0.113.9\r\n";
    for (header, same) in [
        (ForwardedHeader::XForwardedFor, "X-Forwarded-For: 198.51.100.7\r\n"),
        (ForwardedHeader::Forwarded, "Forwarded: for=203.0.113.9\r\n"),
    ] {
        let server = start(|config| {
            one_each(config);
            config.access.forwarded_header = header;
        })
        .await;
        let first = connect(server.addr, b"", both).await;
        assert_eq!((first.0, connect(server.addr, b"", same).await.0), (101, 429), "{header:?}");
        let other = "X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.1\r\n";
        assert_eq!(connect(server.addr, b"", other).await.0, 101, "{header:?}");
    }
}

/// A PROXY header may name this machine too.
#[tokio::test]
async fn loopback_address_in_a_proxy_header_is_neither_exempt_nor_an_operator() {
    let server = start(|config| {
        one_each(config);
        config.addr = vec!["proxy+127.0.0.1:0".parse().unwrap()];
        config.access.metrics = MetricsAccess::Key;
    })
    .await;
    let header = b"PROXY TCP4 127.0.0.1 127.0.0.1 4711 80\r\n";
    let first = connect(server.addr, header, "").await;
    assert_eq!((first.0, connect(server.addr, header, "").await.0), (101, 429));
    let metrics = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert_eq!(exchange(server.addr, &[header, &metrics[..]].concat()).await.status, 401);
}

/// Version 2 with these command, addresses and extensions.
fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[0x20 | command, family][..], &len, rest].concat()
}

/// HAProxy's `set-proxy-v2-tlv-fmt`, a long name in a certificate, the private links of clouds.
#[tokio::test]
async fn proxy_header_is_as_long_as_it_says() {
    let server = start(|config| {
        one_each(config);
        config.addr = vec!["proxy+127.0.0.1:0".parse().unwrap()];
    })
    .await;
    for len in [400_u16, 600, 4_000, 8_000] {
        let tlv = [&[0xe0][..], &len.to_be_bytes(), &vec![b'x'; usize::from(len)]].concat();
        let rest = [&[198, 51, 100, 7, 10, 0, 0, 1, 0x12, 0x34, 0, 80][..], &tlv].concat();
        let request = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let answer = exchange(server.addr, &[version_2(1, 0x11, &rest), request.to_vec()].concat()).await;
        assert_eq!(answer.status, 200, "{len}");
    }
    assert_eq!(refusals(&server), 0);
}

/// Balancers and kubelets check health at the TCP level too: connect and close, or with LOCAL.
#[tokio::test]
async fn health_probes_at_a_proxy_address_are_no_refusals() {
    let server = start(|config| {
        config.access.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        config.addr = vec!["proxy+127.0.0.1:0".parse().unwrap()];
    })
    .await;
    let from = async |source: &str, bytes: &[u8]| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(source.parse().unwrap()).unwrap();
        let mut stream = socket.connect(server.addr).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // A reset is an end too.
        drop(within(stream.read_to_end(&mut answer)).await);
        String::from_utf8(answer).unwrap()
    };
    for probe in [b"".to_vec(), version_2(0, 0x00, b""), version_2(0, 0x11, &[0; 12])] {
        assert_eq!(from("127.0.0.1:0", &probe).await, "");
        assert_eq!(refusals(&server), 0, "{probe:?}");
    }
    assert_eq!(from("127.0.0.9:0", b"").await, "", "a prober that is no proxy");
    assert_eq!(refusals(&server), 0);
    let request = b"GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let ready = from("127.0.0.1:0", &[version_2(0, 0x00, b""), request.to_vec()].concat()).await;
    assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");
    // What is an attempt to be served is counted.
    assert_eq!(from("127.0.0.1:0", b"PROXY").await, "");
    assert_eq!(from("127.0.0.9:0", b"PROXY UNKNOWN\r\n").await, "");
    assert_eq!(refusals(&server), 2);
}

/// A school behind one address comes back after a deploy: all connect before the first of them sends its request.
#[tokio::test]
async fn crowd_behind_one_address_gets_an_answer_first_come_first_served() {
    const CROWD: usize = 300;
    let server = start(|config| {
        config.access.limits_exempt = Vec::new();
        config.admission.handshake_rate_per_address_max = 10;
    })
    .await;
    // Their connections are all young until the last one has sent its request, and no time brings a second burst.
    let _clock = FrozenClock::new();
    let mut streams = Vec::new();
    for _ in 0..CROWD {
        streams.push(TcpStream::connect(server.addr).await.unwrap());
    }
    let mut crowd = JoinSet::new();
    for (number, mut stream) in streams.into_iter().enumerate() {
        stream.write_all(handshake("").as_bytes()).await.unwrap();
        crowd.spawn(async move {
            let answer = answer(&mut stream).await;
            let retry_after = answer.header("Retry-After").and_then(|seconds| seconds.parse::<u64>().ok());
            (number, answer.status, retry_after, stream)
        });
    }
    let mut answers = within(crowd.join_all()).await;
    answers.sort_by_key(|(number, ..)| *number);
    for (number, status, retry_after, _) in &answers {
        match status {
            101 => assert_eq!(*retry_after, None),
            429 => assert!(retry_after.is_some_and(|seconds| seconds >= 1), "{number}"),
            other => assert_eq!(*other, 101, "{number}"),
        }
    }
    assert!(answers[..40].iter().all(|(_, status, ..)| *status == 101), "the burst of four seconds comes first");
    let cut = server.hub().metrics().process.read().refusals;
    let index = throng::metrics::Refusal::HandshakesAddress as usize;
    assert_eq!(cut[index], 0, "none was cut");
}

/// Clients that finish their handshake get through while others of their address never do.
#[tokio::test]
async fn only_unfinished_handshakes_of_a_crowd_are_cut() {
    let server = start(|config| {
        config.access.limits_exempt = Vec::new();
        config.admission.handshakes_per_address_max = 4;
        config.sockets.handshake_timeout = Duration::from_secs(3600);
    })
    .await;
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(b"GET /ws HTTP/1.1\r\nX-Slow: ").await.unwrap();
        slow.push(stream);
    }
    let mut served = Vec::new();
    for _ in 0..20 {
        let (status, stream) = connect(server.addr, b"", "").await;
        assert_eq!(status, 101);
        served.push(stream);
    }
    for stream in &mut slow[..1] {
        assert_eq!(within(stream.read(&mut [0; 1])).await.unwrap_or(0), 0, "the oldest unfinished one made room");
    }
}

/// Beyond what may wait, a client is told so, and not cut.
#[tokio::test]
async fn client_beyond_the_queue_of_its_address_is_told_to_come_back() {
    let server = start(|config| {
        config.access.limits_exempt = Vec::new();
        config.admission.handshakes_per_address_max = 1;
        config.sockets.handshake_timeout = Duration::from_secs(3600);
    })
    .await;
    let mut silent = Vec::new();
    let refused = within(async {
        loop {
            let mut stream = TcpStream::connect(server.addr).await.unwrap();
            let mut bytes = Vec::new();
            if refusals(&server) > 0 {
                break stream.read_to_end(&mut bytes).await.map(|_| Answer::parse(bytes));
            }
            tokio::select! {
                answered = stream.read_to_end(&mut bytes) => break answered.map(|_| Answer::parse(bytes)),
                () = tokio::time::sleep(Duration::from_millis(1)) => silent.push(stream),
            }
        }
    })
    .await
    .unwrap();
    assert_eq!((refused.status, refused.header("Retry-After")), (429, Some("5")));
    assert!(refused.body.contains("too many handshakes of this address"), "{}", refused.body);
    assert!(silent.len() >= 16, "{} waited", silent.len());
}
