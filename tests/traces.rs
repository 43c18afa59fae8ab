//! Traces of operators' requests, as a collector gets them. Runs with `cargo test --features otel --test traces`.

#![cfg(feature = "otel")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "common/server/mod.rs"]
mod server;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rustix::process::Signal;
use server::process::{Process, throng};
use server::{Client, KEY, exchange, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The trace that a request says it is a part of, W3C Trace Context's own example.
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Takes what one request brings, and answers it.
async fn collect(listener: &TcpListener) -> Vec<Span> {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    let (head, len) = loop {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "it ended early");
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(bytes.drain(..end + 4).collect()).unwrap().to_lowercase();
            let len = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
            break (head, len);
        }
    };
    assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
    while bytes.len() < len {
        stream.read_buf(&mut bytes).await.unwrap();
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await.unwrap();
    let request = ExportTraceServiceRequest::decode(bytes.as_slice()).unwrap();
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

fn status(span: &Span) -> Option<i64> {
    let status = span.attributes.iter().find(|attribute| attribute.key == "http.response.status_code")?;
    match status.value.as_ref()?.value.as_ref()? {
        Value::IntValue(status) => Some(*status),
        _ => None,
    }
}

/// A deploy's trace has to show what the hub did for it, and nothing of its clients.
#[tokio::test]
async fn requests_of_operators_arrive_as_parts_of_their_own_traces() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    // Whatever the log says: traces are apart.
    let arguments = ["--addr", "127.0.0.1:0", "--admin-keys", KEY, "--otlp-endpoint", &endpoint, "--log", "error"];
    let (process, mut log) = Process::spawn_logging(&mut throng(&arguments)).await;
    let mut client = Client::connect(process.addr, "/ws?token=SECRET").await;
    client.send("a message").await;
    client.line().await;
    drop(client);
    for (path, more) in [
        ("/admin/connections", format!("X-API-Key: {KEY}\r\ntraceparent: {PARENT}\r\n")),
        ("/admin/drain?token=SECRET", "X-API-Key: SECRET\r\n".to_owned()),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{more}Connection: close\r\n\r\n");
        exchange(process.addr, request.as_bytes()).await;
    }
    process.signal(Signal::INT);
    let mut spans = Vec::new();
    while spans.len() < 2 {
        spans.extend(within(collect(&listener)).await);
    }
    assert!(process.ended().await.success());
    spans.sort_by(|one, other| one.name.cmp(&other.name));
    let told: Vec<_> = spans.iter().map(|span| (span.name.as_str(), status(span))).collect();
    assert_eq!(told, [("GET /admin/connections", Some(200)), ("GET /admin/drain", Some(401))]);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&spans[0].trace_id), PARENT[3..35]);
    assert_eq!(hex(&spans[0].parent_span_id), PARENT[36..52]);
    assert!(spans[1].parent_span_id.is_empty() && spans[1].trace_id != spans[0].trace_id);
    assert!(!format!("{spans:?}").contains("SECRET"));
    assert_eq!(within(log.next_line()).await.unwrap(), None, "and the log is quiet");
}

/// A collector that is away costs the hub nothing, least of all its end.
#[tokio::test]
async fn collector_that_is_away_keeps_nobody_waiting() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let endpoint = format!("http://{gone}");
    let arguments = ["--addr", "127.0.0.1:0", "--admin-keys", KEY, "--otlp-endpoint", &endpoint];
    let (process, _log) = Process::spawn_logging(&mut throng(&arguments)).await;
    let request = format!("GET /admin/drain HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nConnection: close\r\n\r\n");
    for _ in 0..50 {
        assert_eq!(exchange(process.addr, request.as_bytes()).await.status, 200);
    }
    process.signal(Signal::INT);
    assert!(process.ended().await.success());
}
