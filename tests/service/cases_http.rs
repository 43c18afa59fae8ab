//! HTTP on every route, as RFC 9110 and RFC 9112 have it: what proxies, health checks, scrapers and browsers rely on.

use crate::server::http::read_to_end;
use crate::server::{Answer, FrozenClock, KEY, TestServer, exchange, start, within};
use std::time::Duration;
use throng::metrics::Refusal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const READ: &str = "GET, HEAD, OPTIONS";
const BEGIN: &str = "GET, HEAD, POST, DELETE, OPTIONS";

/// Every route, with the status of a plain GET and the methods that it supports.
const ROUTES: [(&str, u16, &str); 10] = [
    ("/", 200, READ),
    ("/chat.js", 200, READ),
    ("/health/live", 200, READ),
    ("/health/ready", 200, READ),
    ("/metrics", 200, READ),
    ("/admin/drain", 200, BEGIN),
    ("/admin/shed", 200, BEGIN),
    ("/admin/connections", 200, READ),
    ("/admin/channels", 200, READ),
    ("/ws", 400, "GET, OPTIONS"),
];

async fn server() -> TestServer {
    start(|config| config.access.admin_keys = vec![KEY.parse().expect("it is long enough")]).await
}

/// Sends one request as an operator, with these lines after the first.
async fn request(server: &TestServer, first: &str, lines: &str) -> Answer {
    let text = format!("{first}\r\nX-API-Key: {KEY}\r\nConnection: close\r\n{lines}\r\n");
    exchange(server.addr, text.as_bytes()).await
}

/// Every route supports what it says it supports, in both versions of HTTP, and says so to every other method.
#[tokio::test]
async fn every_route_answers_every_method_in_both_versions() {
    let server = server().await;
    for (path, status, allowed) in ROUTES {
        for version in ["1.0", "1.1"] {
            for method in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"] {
                let case = format!("{method} {path} HTTP/{version}");
                // Beginning something is the subject of other tests.
                let is_change = allowed == BEGIN && ["POST", "DELETE"].contains(&method);
                if is_change {
                    continue;
                }
                let answer = request(&server, &case, "Host: throng.test\r\n").await;
                let is_allowed = allowed.split(", ").any(|one| one == method);
                let expected = match method {
                    "OPTIONS" => 204,
                    _ if is_allowed => status,
                    _ => 405,
                };
                assert_eq!(answer.status, expected, "{case}: {}", answer.body);
                if expected == 405 || method == "OPTIONS" {
                    assert_eq!(answer.header("Allow"), Some(allowed), "{case}");
                }
                assert!(!answer.head.to_lowercase().contains("access-control"), "{case} opens nothing to other pages");
                assert_eq!(answer.body.is_empty(), matches!(method, "HEAD" | "OPTIONS"), "{case}");
                let is_of_sockets = path == "/ws" && method != "OPTIONS";
                assert_eq!(answer.header("Sec-WebSocket-Version").is_some(), is_of_sockets, "{case}");
                let caching = if matches!(path, "/" | "/chat.js") && expected == 200 { "no-cache" } else { "no-store" };
                assert_eq!(answer.header("Cache-Control"), Some(caching), "{case}");
            }
        }
    }
}

/// What HAProxy sends when a file says only `option httpchk`, and `OPTIONS *`.
#[tokio::test]
async fn default_checks_of_balancers_are_answered() {
    let server = server().await;
    for check in ["OPTIONS / HTTP/1.0\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"] {
        assert_eq!(exchange(server.addr, check.as_bytes()).await.status, 204, "{check}");
    }
}

/// A response to a request whose body nobody reads must not be lost: a close with unread bytes would reset the
/// connection under the client that still sends.
#[tokio::test]
async fn client_that_still_sends_a_body_gets_the_response_and_a_clean_end() {
    const BODY: usize = 2 << 20;
    let server = server().await;
    // The hub waits a second for the client, however slow this machine is.
    let _clock = FrozenClock::new();
    for path in ["/", "/ws"] {
        let mut stream = TcpStream::connect(server.addr).await.expect("it listens");
        let head = format!("POST {path} HTTP/1.1\r\nHost: throng.test\r\nContent-Length: {BODY}\r\n\r\n");
        within(stream.write_all(head.as_bytes())).await.expect("a head fits the socket");
        let mut answer = Vec::new();
        while !answer.windows(4).any(|four| four == b"\r\n\r\n") {
            assert_ne!(within(stream.read_buf(&mut answer)).await.expect("it answers"), 0, "{path}");
        }
        assert!(answer.starts_with(b"HTTP/1.1 405 "), "{path}: {}", String::from_utf8_lossy(&answer));
        within(stream.write_all(&vec![b'x'; BODY])).await.expect("the hub takes what it does not need");
        stream.shutdown().await.expect("the connection is whole");
        within(stream.read_to_end(&mut answer)).await.expect("the end is no reset");
    }
}

/// RFC 9112 section 3.2: a proxy in front may have read another host than the hub, so ambiguity is refused everywhere.
#[tokio::test]
async fn every_route_wants_exactly_one_host_with_http_1_1() {
    let server = server().await;
    for (path, status, _) in ROUTES {
        for (version, hosts, is_good) in [
            ("1.1", "Host: throng.test\r\n", true),
            ("1.1", "Host: throng.test:8080\r\n", true),
            ("1.1", "Host: [::1]:8080\r\n", true),
            ("1.1", "", false),
            ("1.1", "Host:\r\n", false),
            ("1.1", "Host: a\r\nHost: a\r\n", false),
            ("1.1", "Host: a\r\nHost: b\r\n", false),
            ("1.1", "Host: a, b\r\n", false),
            ("1.1", "Host: user@a\r\n", false),
            ("1.1", "Host: a:port\r\n", false),
            ("1.1", "Host: http://a/\r\n", false),
            ("1.0", "", true),
            ("1.0", "Host: throng.test\r\n", true),
            ("1.0", "Host: a\r\nHost: b\r\n", false),
        ] {
            let answer = request(&server, &format!("GET {path} HTTP/{version}"), hosts).await;
            let expected = if is_good { status } else { 400 };
            assert_eq!(answer.status, expected, "{path} HTTP/{version} {hosts:?}: {}", answer.body);
        }
    }
}

/// RFC 9110 section 11.1: the name of a scheme has no case. A client without a key is told the scheme.
#[tokio::test]
async fn key_is_taken_from_either_header_and_the_scheme_has_no_case() {
    let server = start(|config| {
        config.access.admin_keys = vec![KEY.parse().expect("it is long enough")];
        config.access.metrics = throng::config::MetricsAccess::Key;
    })
    .await;
    for path in ["/admin/drain", "/metrics"] {
        for (line, status) in [
            (format!("X-API-Key: {KEY}"), 200),
            (format!("Authorization: Bearer {KEY}"), 200),
            (format!("Authorization: bearer {KEY}"), 200),
            (format!("authorization: BEARER   {KEY}"), 200),
            (format!("Authorization: Basic YTpi\r\nAuthorization: Bearer {KEY}"), 200),
            (format!("Authorization: Basic {KEY}"), 401),
            (format!("Authorization: {KEY}"), 401),
            (format!("Authorization: Bearer{KEY}"), 401),
            ("Authorization: Bearer".to_owned(), 401),
            ("X-Other: 1".to_owned(), 401),
        ] {
            let text = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{line}\r\nConnection: close\r\n\r\n");
            let answer = exchange(server.addr, text.as_bytes()).await;
            assert_eq!(answer.status, status, "{path} {line}");
            assert_eq!(answer.header("WWW-Authenticate"), (status == 401).then_some("Bearer"), "{path} {line}");
        }
    }
}

/// A client that ends its side after its request still reads: `nc` and some health checks do that.
#[tokio::test]
async fn half_closed_client_gets_its_response() {
    let server = server().await;
    // By rate, the response takes its time.
    for path in ["/", "/health/live", "/metrics", "/admin/channels?sort=rate&over=10ms"] {
        let mut stream = TcpStream::connect(server.addr).await.expect("it listens");
        let text = format!("GET {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n\r\n");
        within(stream.write_all(text.as_bytes())).await.expect("it reads");
        within(stream.shutdown()).await.expect("it is open");
        assert_eq!(read_to_end(&mut stream).await.status, 200, "{path}");
    }
}

/// Requests that come at once are answered in their order, one after the other.
#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = server().await;
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n\r\n");
    let text = one("/admin/channels?sort=rate&over=10ms") + &one("/health/live") + &one("/x") + &one("/health/ready");
    let mut stream = TcpStream::connect(server.addr).await.expect("it listens");
    within(stream.write_all(text.as_bytes())).await.expect("it reads");
    within(stream.shutdown()).await.expect("it is open");
    let answers = read_to_end(&mut stream).await;
    let all = answers.head + "\r\n\r\n" + &answers.body;
    let places: Vec<_> = ["channels_total", "live\n", "Not found\n", "ready\n"].map(|part| all.find(part)).into();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?} {all}");
    assert_eq!(all.matches("HTTP/1.1 ").count(), 4, "{all}");
}

/// A body that no route reads must neither be taken for a request nor cost the client its response.
#[tokio::test]
async fn body_nobody_asked_for_is_no_request_and_the_response_arrives() {
    let server = server().await;
    let hidden = "GET /admin/drain HTTP/1.1\r\nHost: x\r\n\r\n";
    for (path, status) in [("/", 200), ("/health/live", 200), ("/metrics", 200), ("/ws", 400)] {
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", hidden.len());
        let answer = exchange(server.addr, (head + hidden).as_bytes()).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(!answer.body.contains("HTTP/1.1"), "{path}: {}", answer.body);
    }
    let mut large = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n".to_vec();
    large.resize(large.len() + 2_000_000, b'x');
    assert_eq!(exchange(server.addr, &large).await.status, 405);
}

/// curl waits a second for `100 Continue` before it sends a body; the final status spares it that.
#[tokio::test]
async fn expectation_to_continue_is_answered_with_the_final_status() {
    let server = server().await;
    for path in ["/", "/ws"] {
        let mut stream = TcpStream::connect(server.addr).await.expect("it listens");
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n");
        within(stream.write_all(head.as_bytes())).await.expect("it reads");
        let mut first = [0; 12];
        within(stream.read_exact(&mut first)).await.expect("it answers");
        assert_eq!(&first, b"HTTP/1.1 405", "{path}");
    }
}

/// The page is some files again at each visit unless the browser may ask whether they have changed.
#[tokio::test]
async fn page_is_not_sent_again_to_a_browser_that_has_it() {
    let server = server().await;
    let mut tags = Vec::new();
    for path in ["/", "/chat.js", "/style.css", "/favicon.svg"] {
        let first = format!("GET {path} HTTP/1.1");
        let whole = request(&server, &first, "Host: x\r\n").await;
        let tag = whole.header("ETag").expect("a page has one").to_owned();
        let known = [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()];
        for known in known {
            let answer = request(&server, &first, &format!("Host: x\r\nIf-None-Match: {known}\r\n")).await;
            assert_eq!((answer.status, &*answer.body), (304, ""), "{path} {known}");
            for name in ["ETag", "Cache-Control", "Content-Security-Policy"] {
                assert_eq!(answer.header(name), whole.header(name), "{path} {known}");
            }
            assert_eq!(answer.header("Content-Length"), None, "{path} {known}");
        }
        let other = request(&server, &first, "Host: x\r\nIf-None-Match: \"other\"\r\n").await;
        assert_eq!((other.status, other.body), (200, whole.body), "{path}");
        let (first, known) = (format!("HEAD {path} HTTP/1.1"), format!("Host: x\r\nIf-None-Match: {tag}\r\n"));
        assert_eq!(request(&server, &first, &known).await.status, 304, "{path}");
        tags.push(tag);
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 4, "files that differ have tags that differ");
}

/// Sends one request that keeps the connection, and reads its answer.
async fn keep_alive(server: &TestServer) -> TcpStream {
    let mut stream = TcpStream::connect(server.addr).await.expect("it listens");
    within(stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")).await.expect("it reads");
    let mut seen = Vec::new();
    while !seen.ends_with(b"live\n") {
        within(stream.read_buf(&mut seen)).await.expect("it answers");
    }
    stream
}

/// Returns whether the server has ended the connection.
async fn is_ended(stream: &mut TcpStream) -> bool {
    matches!(within(stream.read(&mut [0; 1])).await, Ok(0) | Err(_))
}

/// Browsers and balancers keep connections: the head has a short time, the silence before it a long one, and its end
/// refuses nobody.
#[tokio::test]
async fn idle_connection_has_its_own_time_and_its_end_is_no_refusal() {
    let server = start(|config| {
        config.sockets.handshake_timeout = Duration::from_millis(500);
        config.sockets.keep_alive_timeout = Duration::from_secs(3);
    })
    .await;
    let mut idle = keep_alive(&server).await;
    let mut silent = TcpStream::connect(server.addr).await.expect("it listens");
    let mut slow = keep_alive(&server).await;
    within(slow.write_all(b"GET /hea")).await.expect("it reads");
    within(async {
        while server.handshakes() < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let clock = FrozenClock::new();
    let refused = || server.hub().metrics().refused(Refusal::Timeout);
    clock.pass(Duration::from_millis(600)).await;
    assert!(is_ended(&mut silent).await && is_ended(&mut slow).await);
    assert_eq!(refused(), 1, "only what had begun to ask was refused");
    within(idle.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")).await.expect("it is open");
    assert_ne!(within(idle.read(&mut [0; 1024])).await.expect("it answers"), 0, "idle for longer than a head may take");
    clock.pass(Duration::from_millis(3100)).await;
    assert!(is_ended(&mut idle).await);
    assert_eq!(refused(), 1);
}
