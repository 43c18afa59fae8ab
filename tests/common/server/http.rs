//! An HTTP exchange: one request as plain bytes, and the answer until the server closes.

use super::{TestServer, within};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn parse(bytes: Vec<u8>) -> Self {
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer has a head");
        let status = head.strip_prefix("HTTP/1.1 ").or_else(|| head.strip_prefix("HTTP/1.0 "));
        let status = status.and_then(|status| status.get(..3)).expect("a status line").parse().unwrap();
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// Returns the value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Sends bytes and returns the answer; the request has to make the server close.
pub(crate) async fn exchange(addr: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    within(stream.write_all(request)).await.unwrap();
    read_to_end(&mut stream).await
}

/// Reads an answer that ends with the connection.
pub(crate) async fn read_to_end(stream: &mut TcpStream) -> Answer {
    let mut answer = Vec::new();
    within(stream.read_to_end(&mut answer)).await.unwrap();
    Answer::parse(answer)
}

/// Fetches a path.
pub(crate) async fn get(addr: SocketAddr, path: &str) -> Answer {
    exchange(addr, format!("GET {path} HTTP/1.1\r\nHost: throng.test\r\nConnection: close\r\n\r\n").as_bytes()).await
}

/// The key of tests that ask as an operator.
pub(crate) const KEY: &str = "0123456789abcdef";

/// Asks as an operator; returns the status and the answer.
pub(crate) async fn ask(server: &TestServer, method: &str, path: &str) -> (u16, serde_json::Value) {
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: throng.test\r\nX-API-Key: {KEY}\r\nConnection: close\r\n\r\n");
    let answer = exchange(server.addr, request.as_bytes()).await;
    (answer.status, serde_json::from_str(&answer.body).expect("an answer is JSON"))
}
