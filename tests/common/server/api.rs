//! The HTTP API: how tests call it, as backends do.

use super::{Answer, TestServer, exchange, start};
use serde_json::Value;
use std::time::Duration;
use throng::config::{ApiKey, Config};

pub(crate) const KEY: &str = "a-key-of-backends";
pub(crate) const JSON: &str = "Content-Type: application/json\r\n";

pub(crate) async fn server() -> TestServer {
    with(|_| {}).await
}

pub(crate) async fn with(tweak: impl FnOnce(&mut Config)) -> TestServer {
    start(|config| {
        config.api.api_keys = vec![KEY.parse::<ApiKey>().expect("it is a key")];
        config.default_namespace.history_size = 100;
        config.default_namespace.history_ttl = Duration::from_secs(600);
        tweak(config);
    })
    .await
}

pub(crate) fn request(method: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /api/{method} HTTP/1.1\r\nHost: throng.test\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

pub(crate) fn with_key(headers: &str) -> String {
    format!("X-API-Key: {KEY}\r\n{headers}")
}

/// Calls a method with these headers besides the key.
pub(crate) async fn call_with(server: &TestServer, method: &str, headers: &str, body: &str) -> Answer {
    exchange(server.addr, &request(method, &with_key(headers), body.as_bytes())).await
}

/// Calls a method; returns the status and the answer.
pub(crate) async fn call(server: &TestServer, method: &str, body: Value) -> (u16, Value) {
    let answer = call_with(server, method, JSON, &body.to_string()).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    (answer.status, parse(&answer))
}

/// Calls a method that succeeds; returns the result.
pub(crate) async fn result(server: &TestServer, method: &str, body: Value) -> Value {
    let (status, mut answer) = call(server, method, body.clone()).await;
    assert_eq!(status, 200, "{method} {body}: {answer}");
    let result = answer["result"].take();
    assert!(result.is_object(), "{method} {body}: {answer}");
    result
}

pub(crate) fn parse(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).expect("an answer is JSON")
}

/// Checks an error: its status, its code, and what its text says.
pub(crate) fn check_error(answer: &Answer, status: u16, code: u32, text: &str) {
    let body = parse(answer);
    let message = body["error"]["message"].as_str().unwrap_or_default();
    assert_eq!((answer.status, body["error"]["code"].as_u64()), (status, Some(code.into())), "{body}");
    assert!(message.contains(text), "{text:?} is not in {message:?}");
}
