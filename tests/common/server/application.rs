//! An application that hooks and events are sent to: it answers as a test says, and remembers what it got.

use super::within;
use serde_json::Value;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    /// In lower case, without the body.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Returns the value of a header, as it was written but for its case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))
    }
}

/// What an application answers: status and body, or nothing until it is released.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Status(u16, String),
    /// To this address.
    Redirect(String),
    Hang,
}

type Answer = dyn Fn(&Request) -> Reply + Send + Sync;

/// An application under a test.
pub(crate) struct Application {
    pub(crate) addr: SocketAddr,
    requests: watch::Receiver<Vec<Request>>,
    released: Arc<Notify>,
}

impl Application {
    pub(crate) async fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (count, requests) = watch::channel(Vec::new());
        // Of one type for all tests, so that what serves it is compiled once.
        let answer: Arc<Answer> = Arc::new(answer);
        let (count, released) = (Arc::new(count), Arc::new(Notify::new()));
        let release = Arc::clone(&released);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answer), Arc::clone(&count), Arc::clone(&release)));
            }
        });
        Self { addr, requests, released }
    }

    /// Returns the `[[hook]]` tables for these questions.
    pub(crate) fn hooks(&self, names: &[&str]) -> String {
        let table = |name: &&str| format!("[[hook]]\nname = \"{name}\"\nurl = \"http://{}/{name}\"\n", self.addr);
        names.iter().map(table).collect()
    }

    /// Returns all requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.borrow().clone()
    }

    /// Returns the requests once there are so many.
    pub(crate) async fn requested(&self, count: usize) -> Vec<Request> {
        within(self.requests.clone().wait_for(|requests| requests.len() >= count)).await.unwrap().clone()
    }

    /// Lets one request that hangs be answered, with an empty result.
    pub(crate) fn release(&self) {
        self.released.notify_one();
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: Arc<Answer>,
    count: Arc<watch::Sender<Vec<Request>>>,
    released: Arc<Notify>,
) {
    let mut read = VecDeque::new();
    while let Some(request) = next_request(&mut stream, &mut read).await {
        let reply = answer(&request);
        count.send_modify(|requests| requests.push(request));
        let (status, lines, body) = match reply {
            Reply::Status(status, body) => (status, String::new(), body),
            Reply::Redirect(to) => (302, format!("Location: {to}\r\n"), String::new()),
            Reply::Hang => {
                released.notified().await;
                (200, String::new(), r#"{"result":{}}"#.to_owned())
            }
        };
        // A status without content has no length either.
        let length = if status == 204 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let response = format!("HTTP/1.1 {status} x\r\n{lines}{length}\r\n{body}");
        if stream.write_all(response.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn next_request(stream: &mut TcpStream, read: &mut VecDeque<u8>) -> Option<Request> {
    loop {
        let text = String::from_utf8(read.iter().copied().collect()).unwrap();
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let path = head.split(' ').nth(1).unwrap().to_owned();
            let lower = head.lines().map(|line| match line.split_once(": ") {
                Some((name, value)) => format!("{}: {value}", name.to_ascii_lowercase()),
                None => line.to_owned(),
            });
            let mut request = Request { path, head: lower.collect::<Vec<_>>().join("\n"), body: String::new() };
            let length = request.header("content-length").unwrap().parse::<usize>().unwrap();
            if rest.len() >= length {
                rest[..length].clone_into(&mut request.body);
                read.drain(..head.len() + 4 + length);
                return Some(request);
            }
        }
        let mut more = Vec::new();
        if stream.read_buf(&mut more).await.unwrap_or(0) == 0 {
            return None;
        }
        read.extend(more);
    }
}
