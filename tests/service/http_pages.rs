//! The HTTP face: the chat page and its parts, health for balancers, and numbers for operators.

use crate::server;
use crate::server::{TestServer, exchange, get, start, within};
use std::collections::{HashMap, HashSet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What the page may load is said by the server, not hoped for: script in a message must stay text.
#[tokio::test]
async fn page_and_its_parts_have_their_types_and_guards() {
    let server = start(|_| {}).await;
    for (path, content_type, part) in [
        ("/", "text/html; charset=utf-8", "<title>throng</title>"),
        ("/?channel=news", "text/html; charset=utf-8", "<title>throng</title>"),
        ("/chat.js", "text/javascript; charset=utf-8", "textContent"),
        ("/connection.js", "text/javascript; charset=utf-8", "WebSocket"),
        ("/style.css", "text/css; charset=utf-8", ""),
        ("/favicon.svg", "image/svg+xml", "<svg"),
    ] {
        let answer = get(server.addr, path).await;
        assert_eq!((answer.status, answer.header("Content-Type")), (200, Some(content_type)), "{path}");
        assert!(answer.body.contains(part), "{path}");
        let policy = answer.header("Content-Security-Policy").unwrap();
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            // Safari before 15.4 does not count sockets of the same host as `self`.
            "connect-src 'self' ws://throng.test wss://throng.test",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.split("; ").any(|one| one == rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        for (name, value) in [
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Frame-Options", "DENY"),
            ("Cache-Control", "no-cache"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
    }
}

/// Every file that the page names is there, and none of it is inline, which the policy would block.
#[tokio::test]
async fn whatever_the_page_refers_to_exists() {
    let server = start(|_| {}).await;
    let page = get(server.addr, "/").await.body;
    assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains(" onclick="));
    let mut references = 0;
    for attribute in ["href=\"", "src=\""] {
        for reference in page.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()) {
            let path = format!("/{}", reference.trim_start_matches('/'));
            assert_eq!(get(server.addr, &path).await.status, 200, "{path}");
            references += 1;
        }
    }
    assert!(references >= 3, "the page refers to its script, style and icon");
}

/// The path is judged before the method, as in the chat example.
#[tokio::test]
async fn other_paths_are_404_and_other_methods_405() {
    let server = start(|_| {}).await;
    for request in ["GET /x", "POST /x", "GET /ws/", "GET /chat.js/..", "GET /../Cargo.toml"] {
        let bytes = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").into_bytes();
        let answer = exchange(server.addr, &bytes).await;
        assert_eq!((answer.status, &*answer.body), (404, "Not found\n"), "{request}");
    }
    for path in ["/", "/chat.js", "/health/live", "/health/ready", "/metrics"] {
        let request = format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        let answer = exchange(server.addr, request.as_bytes()).await;
        assert_eq!(
            (answer.status, &*answer.body),
            (405, "Method Not Allowed: this path supports GET, HEAD, OPTIONS\n"),
            "{path}"
        );
        assert_eq!(answer.header("Allow"), Some("GET, HEAD, OPTIONS"), "{path}");
        // That belongs to the WebSocket endpoints.
        assert_eq!(answer.header("Sec-WebSocket-Version"), None, "{path}");
    }
}

#[tokio::test]
async fn head_is_the_same_without_a_body() {
    let server = start(|_| {}).await;
    for path in ["/", "/health/live", "/x"] {
        let request = format!("HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let (head, whole) = (exchange(server.addr, request.as_bytes()).await, get(server.addr, path).await);
        assert_eq!((head.status, head.header("Content-Type")), (whole.status, whole.header("Content-Type")), "{path}");
        assert_eq!(head.header("Content-Length"), Some(&*whole.body.len().to_string()), "{path}");
        assert_eq!(head.body, "", "{path}");
    }
}

#[tokio::test]
async fn health_is_live_and_ready() {
    let server = start(|_| {}).await;
    for (path, body) in [("/health/live", "live\n"), ("/health/ready", "ready\n")] {
        let answer = get(server.addr, path).await;
        assert_eq!((answer.status, &*answer.body), (200, body));
    }
}

/// A balancer that asks while the last clients leave must hear "draining", not find the door shut.
#[tokio::test]
async fn readiness_is_503_for_as_long_as_a_stop_takes() {
    let mut server = start(|_| {}).await;
    let mut holding = server.raw("/ws").await;
    holding.round_trip().await;
    let mut idle = TcpStream::connect(server.addr).await.unwrap();
    idle.write_all(b"GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert_ne!(within(idle.read(&mut [0; 1024])).await.unwrap(), 0);

    server.begin_stop();
    assert_eq!(holding.closed().await, Some((1012, "shutting down".to_owned())));
    // It has the close frame and does not end: the stop goes on.
    let answer = get(server.addr, "/health/ready").await;
    assert_eq!((answer.status, &*answer.body), (503, "draining\n"));
    assert_eq!(get(server.addr, "/health/live").await.status, 200);
    let answer = upgrade(&server).await;
    assert_eq!((answer.status, &*answer.body), (503, "Service Unavailable: the hub is stopping\n"));
    assert_eq!(
        within(idle.read(&mut [0; 1])).await.unwrap(),
        0,
        "a connection that asks nothing does not hold the stop"
    );
    drop(holding);
    let addr = server.addr;
    server.stopped().await;
    assert!(TcpStream::connect(addr).await.is_err(), "nothing listens after the stop");
}

/// Asks for a WebSocket and expects to be refused.
async fn upgrade(server: &TestServer) -> server::Answer {
    let request = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    exchange(server.addr, request).await
}

/// Fetches the metrics page with a header more.
async fn scrape(server: &TestServer, header: &str) -> server::Answer {
    let request = format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{header}Connection: close\r\n\r\n");
    exchange(server.addr, request.as_bytes()).await
}

/// Reads the metrics page strictly: comments of two kinds, samples of one form, and an end.
async fn metrics(server: &TestServer) -> HashMap<String, f64> {
    let answer = scrape(server, "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n").await;
    assert_eq!(answer.header("Content-Type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let mut lines: Vec<_> = answer.body.lines().collect();
    assert_eq!(lines.pop(), Some("# EOF"));
    let mut samples = HashMap::new();
    for line in lines {
        if let Some(comment) = line.strip_prefix("# ") {
            let words: Vec<_> = comment.splitn(3, ' ').collect();
            assert!(["HELP", "TYPE", "UNIT"].contains(&words[0]) && words.len() == 3, "{line}");
            assert!(words[0] != "TYPE" || ["counter", "gauge", "histogram"].contains(&words[2]), "{line}");
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect("a sample has a value");
        let bare = name.split('{').next().unwrap_or_default();
        let is_known = bare.starts_with("throng_") || bare.starts_with("process_");
        assert!(is_known && bare.chars().all(|one| one.is_ascii_lowercase() || one == '_'), "{line}");
        assert!(name == bare || (name.ends_with("\"}") && name.contains("=\"")), "{line}");
        let value = value.parse().expect("a value is a number");
        assert_eq!(samples.insert(name.to_owned(), value), None, "{line} stands there twice");
    }
    samples
}

#[tokio::test]
async fn metrics_parse_and_count_publications_deliveries_and_closes() {
    let server = start(|_| {}).await;
    let before = metrics(&server).await;
    let zero =
        [("throng_publications_total{shard=\"0\"}", 0.0), ("throng_refusals_total{reason=\"bad_request\"}", 0.0)];
    assert!(zero.iter().all(|(name, value)| before[*name] == *value), "{before:?}");

    // What every Prometheus client library exports, under the same names.
    for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"] {
        assert!(before[name] >= 0.0, "{name}");
    }
    assert!(before["process_resident_memory_bytes"] > 1e6);

    let mut clients = [server.connect("/ws").await, server.connect("/ws").await, server.connect("/ws").await];
    clients[0].send("one").await;
    for client in &mut clients {
        assert_eq!(client.line().await, "one");
    }
    let [first, mut second, _third] = clients;
    second.close(Some(1000)).await;
    drop((first, second));
    get(server.addr, "/ws").await;
    let expected = [
        ("throng_publications_total{shard=\"0\"}", 1.0),
        ("throng_deliveries_total{shard=\"0\"}", 3.0),
        ("throng_connections{shard=\"0\"}", 1.0),
        ("throng_shard_channels{shard=\"0\"}", 1.0),
        ("throng_closes_total{reason=\"peer\"}", 1.0),
        ("throng_closes_total{reason=\"slow_consumer\"}", 0.0),
        ("throng_refusals_total{reason=\"bad_request\"}", 1.0),
        ("throng_connection_panics_total", 0.0),
    ];
    // Counters appear at the end of a shard's pass, shortly after what they count.
    within(async {
        loop {
            let now = metrics(&server).await;
            if expected.iter().all(|(name, value)| now.get(*name) == Some(value)) {
                return;
            }
            for (name, value) in expected {
                assert!(now[name] <= value || name == "throng_connections{shard=\"0\"}", "{name} is {}", now[name]);
            }
        }
    })
    .await;
}

/// `promtool check metrics` and old scrapers read the format that was there before OpenMetrics.
#[tokio::test]
async fn metrics_are_classic_text_unless_openmetrics_is_asked_for() {
    let server = start(|_| {}).await;
    let openmetrics = metrics(&server).await;
    for header in ["", "Accept: */*\r\n", "Accept: text/plain;version=0.0.4\r\n"] {
        let answer = scrape(&server, header).await;
        assert_eq!(answer.header("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"), "{header}");
        assert_eq!(answer.header("Vary"), Some("accept"), "{header}");
        let (comments, samples): (Vec<_>, Vec<_>) = answer.body.lines().partition(|line| line.starts_with('#'));
        let names: HashSet<_> = samples.iter().filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect();
        assert_eq!(names, openmetrics.keys().cloned().collect(), "{header}");
        assert!(comments.contains(&"# TYPE throng_deliveries_total counter"), "{comments:?}");
        assert!(comments.contains(&"# TYPE throng_delivery_seconds histogram"), "{comments:?}");
        assert!(comments.iter().all(|line| ["# HELP ", "# TYPE "].contains(&&line[..7])), "{comments:?}");
    }
}

/// Without a bucket of `+Inf` every quantile in Prometheus is NaN, and an alert on it never fires.
#[tokio::test]
async fn latency_buckets_only_grow_and_end_at_infinity() {
    let server = start(|_| {}).await;
    let mut client = server.connect("/ws").await;
    client.send("one").await;
    assert_eq!(client.line().await, "one");
    // Counted at the end of the shard's pass, shortly after the delivery.
    let page = within(async {
        loop {
            let page = metrics(&server).await;
            if page["throng_delivery_seconds_count{shard=\"0\"}"] > 0.0 {
                return page;
            }
        }
    })
    .await;
    let buckets = page.iter().filter_map(|(name, count)| {
        let bound = name.strip_prefix("throng_delivery_seconds_bucket{le=\"")?.strip_suffix("\",shard=\"0\"}")?;
        Some((bound.parse().expect("a bound is a number"), *count))
    });
    let mut buckets: Vec<(f64, f64)> = buckets.collect();
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    assert!(buckets.len() > 2 && buckets.is_sorted_by_key(|(_, count)| *count), "{buckets:?}");
    assert_eq!(buckets.last(), Some(&(f64::INFINITY, 1.0)));
}
