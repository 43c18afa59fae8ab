//! Who may connect and who may read: pages of other hosts, names that were pointed at this machine, and the metrics.

use crate::server::{Answer, KEY, TestServer, exchange, start, within};
use std::net::SocketAddr;
use throng::config::{Config, MetricsAccess};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Asks for a WebSocket with these lines and returns the status.
async fn handshake(server: &TestServer, lines: &str) -> u16 {
    let text = format!(
        "GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
    );
    let mut stream = TcpStream::connect(server.addr).await.expect("it listens");
    within(stream.write_all(text.as_bytes())).await.expect("it reads");
    let mut first = [0; 12];
    within(stream.read_exact(&mut first)).await.expect("it answers");
    String::from_utf8_lossy(&first[9..]).parse().expect("it is a status")
}

async fn get(addr: SocketAddr, path: &str, lines: &str) -> Answer {
    exchange(addr, format!("GET {path} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n").as_bytes()).await
}

fn hosts(config: &mut Config, hosts: &[&str]) {
    config.access.allowed_hosts = hosts.iter().map(|host| host.parse().expect("it is a host")).collect();
}

/// nginx's `proxy_set_header Host $host:$server_port` is in many guides. RFC 6454 section 4: a default port is no
/// difference, nor are case and a final dot.
#[tokio::test]
async fn own_page_connects_however_its_proxy_writes_the_host() {
    let server = start(|config| hosts(config, &["chat.test", "[::1]"])).await;
    for (host, origin, status) in [
        ("chat.test:80", "http://chat.test", 101),
        ("chat.test:443", "https://chat.test", 101),
        ("chat.test", "https://chat.test:443", 101),
        ("CHAT.test.", "https://chat.TEST", 101),
        ("[::1]:8080", "http://[0:0::1]:8080", 101),
        ("chat.test:443", "http://chat.test", 403),
        ("chat.test:81", "http://chat.test", 403),
        ("chat.test", "null", 403),
        ("chat.test", "file://", 403),
        ("chat.test", "capacitor://chat.test", 403),
    ] {
        assert_eq!(
            handshake(&server, &format!("Host: {host}\r\nOrigin: {origin}\r\n")).await,
            status,
            "{host} {origin}"
        );
    }
}

/// Apps and extensions have origins with schemes of their own.
#[tokio::test]
async fn app_connects_once_its_origin_is_allowed_by_name() {
    let origins = ["capacitor://localhost", "chrome-extension://abcdef", "null"];
    let server = start(|config| {
        config.access.allowed_origins = origins.iter().map(|origin| origin.parse().expect("an origin")).collect();
    })
    .await;
    for origin in origins {
        assert_eq!(handshake(&server, &format!("Host: h.test\r\nOrigin: {origin}\r\n")).await, 101, "{origin}");
    }
    for origin in ["capacitor://localhost:1", "ionic://localhost", "chrome-extension://other", "file://"] {
        assert_eq!(handshake(&server, &format!("Host: h.test\r\nOrigin: {origin}\r\n")).await, 403, "{origin}");
    }
}

/// docs/threats.md, row 1. DNS rebinding: a page's own name is pointed at 127.0.0.1, so host and origin agree.
#[tokio::test]
async fn page_whose_name_was_pointed_at_this_machine_is_refused() {
    let server = start(|_| {}).await;
    for (host, status) in [
        ("evil.example:8080", 403),
        ("localhost.evil.example", 403),
        ("192.0.2.1:8080", 403),
        ("localhost:8080", 101),
        ("app.localhost", 101),
        ("127.0.0.1:8080", 101),
        ("[::1]:8080", 101),
    ] {
        let lines = format!("Host: {host}\r\nOrigin: http://{host}\r\n");
        assert_eq!(handshake(&server, &lines).await, status, "{host}");
        // A page cannot send this header with a WebSocket, and nothing that is not trusted can lift the rule with it.
        let lines = lines + "X-Forwarded-For: 192.0.2.9\r\n";
        assert_eq!(handshake(&server, &lines).await, status, "{host}");
    }
    // Programs send no origin.
    assert_eq!(handshake(&server, "Host: evil.example\r\n").await, 101);
}

/// Behind a trusted proxy on the same machine the name is what the visitor typed.
#[tokio::test]
async fn page_behind_a_trusted_local_proxy_connects_under_its_public_name() {
    let server = start(|config| config.access.trusted_proxies = vec!["127.0.0.1/32".parse().expect("a network")]).await;
    let lines = "Host: chat.example\r\nOrigin: https://chat.example\r\n";
    assert_eq!(handshake(&server, &format!("{lines}X-Forwarded-For: 192.0.2.9\r\n")).await, 101);
    // A browser on this machine reaches the port as well, and adds no such header.
    assert_eq!(handshake(&server, lines).await, 403);
}

/// With a list of hosts every route but the health checks is for them only.
#[tokio::test]
async fn request_for_a_host_that_is_not_listed_is_misdirected() {
    let server = start(|config| hosts(config, &["chat.example", "*.chat.example"])).await;
    for path in ["/", "/chat.js", "/metrics", "/admin/drain", "/health/live", "/x"] {
        for (host, is_listed) in [
            ("chat.example", true),
            ("a.chat.example:8080", true),
            ("localhost:8080", true),
            ("evil.example", false),
            ("evilchat.example", false),
        ] {
            let answer = get(server.addr, path, &format!("Host: {host}\r\n")).await;
            let is_served = is_listed || path == "/health/live";
            assert_eq!(answer.status != 421, is_served, "{path} {host}");
            assert!(is_served || answer.body.contains("--allowed-hosts"), "{}", answer.body);
        }
    }
    assert_eq!(handshake(&server, "Host: chat.example\r\n").await, 101);
    assert_eq!(handshake(&server, "Host: evil.example\r\n").await, 421);
}

/// A bare `proxy_pass` of nginx, `ssh -R` and cloudflared add no header, and nginx sends the host of the hub: such a
/// request cannot be told from one of this machine, so neither is served.
#[tokio::test]
async fn metrics_need_a_key_and_nothing_is_concluded_from_headers_that_are_absent() {
    let server = start(|config| {
        config.access.metrics = MetricsAccess::Key;
        config.access.admin_keys = vec![KEY.parse().expect("it is long enough")];
    })
    .await;
    for lines in [
        "Host: 127.0.0.1:8080\r\n",
        "Host: localhost\r\n",
        "Host: chat.example.com\r\n",
        "Host: localhost\r\nX-Forwarded-For: 192.0.2.1\r\n",
    ] {
        let answer = get(server.addr, "/metrics", lines).await;
        assert_eq!(answer.status, 401, "{lines}");
        for way in ["Bearer KEY", "--internal-addr", "--metrics public"] {
            assert!(answer.body.contains(way), "{}", answer.body);
        }
        let answer = get(server.addr, "/metrics", &format!("{lines}Authorization: Bearer {KEY}\r\n")).await;
        assert_eq!(answer.status, 200, "{lines}");
        // Guesses are limited, and so this one may be refused without a look.
        let answer = get(server.addr, "/metrics", &format!("{lines}X-API-Key: 0123456789abcdeF\r\n")).await;
        assert!([401, 429].contains(&answer.status), "{lines}");
    }
}

#[tokio::test]
async fn metrics_without_any_key_are_refused_at_the_address_of_clients_by_default() {
    assert_eq!(Config::default().access.metrics, MetricsAccess::Key);
    let server = start(|config| config.access.metrics = MetricsAccess::Key).await;
    assert_eq!(get(server.addr, "/metrics", "Host: localhost\r\n").await.status, 401);
    assert_eq!(get(server.addr, "/metrics", "Host: localhost\r\nX-API-Key: \r\n").await.status, 401);
}

#[tokio::test]
async fn metrics_are_public_when_the_operator_says_so() {
    let server = start(|config| config.access.metrics = MetricsAccess::Public).await;
    assert_eq!(
        get(server.addr, "/metrics", "Host: chat.example.com\r\nX-Forwarded-For: 192.0.2.1\r\n").await.status,
        200
    );
}

/// The comfortable way on one's own machine: an address of its own, which no proxy leads to and no page can read.
#[tokio::test]
async fn internal_address_on_loopback_serves_metrics_without_a_key_to_this_machine_only() {
    let server = start(|config| {
        config.internal_addr = "127.0.0.1:0".parse().ok();
        config.access.metrics = MetricsAccess::Key;
    })
    .await;
    let internal = server.internal.expect("it was configured");
    for (lines, status) in
        [("Host: localhost\r\n", 200), ("Host: 127.0.0.1:9\r\n", 200), ("Host: evil.example\r\n", 401)]
    {
        assert_eq!(get(internal, "/metrics", lines).await.status, status, "{lines}");
    }
    assert_eq!(get(server.addr, "/metrics", "Host: localhost\r\n").await.status, 404);
}
