//! The handshake: which requests become a WebSocket, and what the others are told, in which order.

use crate::server::{Answer, TestServer, client::handshake, exchange, start, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

/// A good handshake for `throng.test`, one line per entry.
fn good() -> Vec<String> {
    let lines = ["GET /ws HTTP/1.1", "Host: throng.test", "Connection: Upgrade", "Upgrade: websocket"];
    lines.into_iter().chain(["Sec-WebSocket-Version: 13", KEY]).map(str::to_owned).collect()
}

/// A good handshake with the lines that begin with `prefix` replaced.
fn with(prefix: &str, replacements: &[&str]) -> Vec<String> {
    let mut lines = good();
    replace(&mut lines, prefix, replacements);
    lines
}

fn replace(lines: &mut Vec<String>, prefix: &str, replacements: &[&str]) {
    let at = lines.iter().position(|line| line.starts_with(prefix)).unwrap_or(lines.len());
    lines.retain(|line| !line.starts_with(prefix));
    lines.splice(at..at, replacements.iter().map(|line| (*line).to_owned()));
}

fn bytes(lines: &[String]) -> Vec<u8> {
    (lines.join("\r\n") + "\r\n\r\n").into_bytes()
}

/// Sends a request that is refused, and checks what every refusal has.
async fn refused(server: &TestServer, lines: &[String]) -> Answer {
    let answer = exchange(server.addr, &bytes(lines)).await;
    assert_eq!(answer.header("Sec-WebSocket-Version"), Some("13"), "{lines:?}");
    assert_eq!(answer.header("Content-Type"), Some("text/plain; charset=utf-8"), "{lines:?}");
    assert!(answer.header("Connection").is_some_and(|value| value.contains("close")), "{lines:?}");
    assert!(answer.body.ends_with('\n') || lines[0].starts_with("HEAD"), "{lines:?}");
    answer
}

/// Sends a request that is accepted.
async fn accepted(server: &TestServer, lines: &[String]) {
    let mut stream = TcpStream::connect(server.addr).await.expect("the server listens");
    within(stream.write_all(&bytes(lines))).await.expect("a head fits the socket");
    let mut answer = [0; 12];
    within(stream.read_exact(&mut answer)).await.expect("the server answers");
    assert_eq!(&answer, b"HTTP/1.1 101", "{lines:?}");
}

#[tokio::test]
async fn good_handshake_is_answered_as_the_rfc_says() {
    let server = start(|_| {}).await;
    let (_stream, early) = handshake(TcpStream::connect(server.addr).await.unwrap(), "/ws", b"").await;
    assert!(early.is_empty(), "a server speaks when there is something to say");
}

/// A proxy adds to lists and changes case.
#[tokio::test]
async fn lists_and_case_of_header_values_do_not_matter() {
    let server = start(|_| {}).await;
    for lines in [
        with("Connection", &["Connection: keep-alive, Upgrade"]),
        with("Connection", &["Connection: keep-alive", "connection: UPGRADE"]),
        with("Upgrade", &["upgrade: WebSocket"]),
        with("Upgrade", &["Upgrade: h2c, websocket"]),
        with("Content-Length", &["Content-Length: 0"]),
        with("Sec-WebSocket-Extensions", &["Sec-WebSocket-Extensions: permessage-deflate"]),
        with("Sec-WebSocket-Protocol", &["Sec-WebSocket-Protocol: chat"]),
    ] {
        accepted(&server, &lines).await;
    }
}

#[tokio::test]
async fn malformed_handshakes_are_refused_with_400() {
    let server = start(|_| {}).await;
    let missing = "the header Connection: upgrade is missing";
    let host = "exactly one Host header is required";
    let body = "a handshake must not have a body";
    let key = "exactly one Sec-WebSocket-Key is required, the base64 of 16 bytes";
    for (lines, rule) in [
        (with("Connection", &[]), missing),
        (with("Connection", &["Connection: keep-alive"]), missing),
        (with("Connection", &["Connection: upgraded"]), missing),
        (with("GET", &["GET /ws HTTP/1.0"]), "HTTP/1.1 is required"),
        (with("Host", &[]), host),
        (with("Host", &["Host: throng.test", "Host: throng.test"]), host),
        (with("Host", &["Host: "]), "the Host header names no host"),
        (with("Host", &["Host: user@throng.test"]), "the Host header names no host"),
        (with("Content-Length", &["Content-Length: 1"]), body),
        (with("Transfer-Encoding", &["Transfer-Encoding: chunked"]), body),
        (with("Sec-WebSocket-Key", &[]), key),
        (with("Sec-WebSocket-Key", &["Sec-WebSocket-Key: c2hvcnQ="]), key),
        (with("Sec-WebSocket-Key", &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSE="]), key),
        (with("Sec-WebSocket-Key", &["Sec-WebSocket-Key: no base64 at all!!"]), key),
        (with("Sec-WebSocket-Key", &[KEY, KEY]), key),
    ] {
        let answer = refused(&server, &lines).await;
        assert_eq!((answer.status, answer.body), (400, format!("Bad Request: {rule}\n")), "{lines:?}");
    }
}

#[tokio::test]
async fn wrong_version_or_no_upgrade_is_426_and_says_what_is_needed() {
    let server = start(|_| {}).await;
    for lines in [
        with("Upgrade", &[]),
        with("Upgrade", &["Upgrade: h2c"]),
        with("Sec-WebSocket-Version", &[]),
        with("Sec-WebSocket-Version", &["Sec-WebSocket-Version: 8"]),
        with("Sec-WebSocket-Version", &["Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13"]),
    ] {
        let answer = refused(&server, &lines).await;
        assert_eq!((answer.status, answer.header("Upgrade")), (426, Some("websocket")), "{lines:?}");
        assert_eq!(answer.header("Connection"), Some("upgrade, close"), "{lines:?}");
        assert_eq!(answer.body, "Upgrade Required: this is a WebSocket endpoint, version 13\n");
    }
}

#[tokio::test]
async fn other_methods_are_405_and_the_right_one_is_named() {
    let server = start(|_| {}).await;
    for method in ["POST", "PUT", "HEAD", "BREW"] {
        let answer = refused(&server, &with("GET", &[&format!("{method} /ws HTTP/1.1")])).await;
        assert_eq!((answer.status, answer.header("Allow")), (405, Some("GET, OPTIONS")), "{method}");
        let is_said = answer.body == "Method Not Allowed: this path supports GET, OPTIONS\n";
        assert!(is_said || method == "HEAD", "{method}: {}", answer.body);
    }
}

/// A browser may only connect from a page of this very host; programs send no origin.
#[tokio::test]
async fn foreign_origin_is_403_and_own_or_none_is_accepted() {
    let server = start(|config| config.access.allowed_hosts = vec!["throng.test".parse().expect("a host")]).await;
    for foreign in ["https://evil.test", "http://throng.test:81", "https://throng.test.evil.test", "null", "file://"] {
        let answer = refused(&server, &with("Origin", &[&format!("Origin: {foreign}")])).await;
        assert_eq!(
            (answer.status, &*answer.body),
            (
                403,
                &*format!("Forbidden: the page's origin {foreign} is neither this host nor one of --allowed-origins\n")
            ),
            "{foreign}"
        );
    }
    let twice = with("Origin", &["Origin: http://throng.test", "Origin: http://throng.test"]);
    assert_eq!(refused(&server, &twice).await.status, 403);
    for own in ["http://throng.test", "https://Throng.TEST"] {
        accepted(&server, &with("Origin", &[&format!("Origin: {own}")])).await;
    }
    let mut with_port = with("Host", &["Host: throng.test:8080"]);
    assert_eq!(
        refused(&server, &[&with_port[..], &["Origin: http://throng.test".to_owned()]].concat()).await.status,
        403
    );
    with_port.push("Origin: http://throng.test:8080".to_owned());
    accepted(&server, &with_port).await;
    accepted(&server, &good()).await;
}

/// The order of gorilla's chat example, after the method: a request with several faults gets the same answer as there.
/// docs/threats.md, row 5.
#[tokio::test]
async fn checks_run_in_the_order_of_the_example() {
    let server = start(|_| {}).await;
    let long = "x".repeat(5000);
    // Everything is wrong at first; each step mends what the answer complained about.
    let mut lines: Vec<String> = vec![format!("POST /ws?channel=%20&{long} HTTP/1.0"), "Origin: null".to_owned()];
    lines.extend(["Content-Length: 1", "Sec-WebSocket-Version: 8"].map(str::to_owned));
    for (status, mended, instead) in [
        (414, "POST", &["POST /ws?channel=%20 HTTP/1.0"][..]),
        (405, "POST", &["GET /ws?channel=%20 HTTP/1.0"]),
        (400, "Connection", &["Connection: Upgrade"]),
        (426, "Upgrade", &["Upgrade: websocket"]),
        (400, "GET", &["GET /ws?channel=%20 HTTP/1.1"]),
        (400, "Host", &["Host: throng.test"]),
        (400, "Content-Length", &[]),
        (426, "Sec-WebSocket-Version", &["Sec-WebSocket-Version: 13"]),
        (400, "Sec-WebSocket-Key", &[KEY]),
        (403, "Origin", &[]),
        (400, "GET", &["GET /ws?channel=a HTTP/1.1"]),
    ] {
        assert_eq!(refused(&server, &lines).await.status, status, "{lines:?}");
        replace(&mut lines, mended, instead);
    }
    accepted(&server, &lines).await;
}

/// A refusal is counted, and costs the hub no place.
#[tokio::test]
async fn refusals_are_counted_and_take_no_place() {
    let server = start(|config| config.limits.connections_max = 1).await;
    for _ in 0..3 {
        refused(&server, &with("Sec-WebSocket-Key", &[])).await;
    }
    assert_eq!(server.hub().metrics().process.read().refusals.iter().sum::<u64>(), 3);
    accepted(&server, &good()).await;
}

/// docs/threats.md, row 1. An application's own page may live elsewhere than its hub, and no other page with it.
#[tokio::test]
async fn allowed_origin_connects_from_another_host_and_its_neighbour_does_not() {
    let server = start(|config| {
        config.access.allowed_origins = vec!["https://*.example.com".parse().expect("it is an origin")];
    })
    .await;
    for (origin, status) in
        [("https://app.example.com", 101), ("https://example.com", 403), ("http://app.example.com", 403)]
    {
        let request = bytes(&with("Origin", &[&format!("Origin: {origin}")]));
        let mut stream = TcpStream::connect(server.addr).await.expect("it listens");
        stream.write_all(&request).await.expect("it fits");
        let mut start = [0; 12];
        within(stream.read_exact(&mut start)).await.expect("it answers");
        assert_eq!(start[9..], *status.to_string().as_bytes(), "{origin}");
    }
}
