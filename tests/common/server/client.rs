//! A client: one side of a conversation with the server under test.

use super::within;
use futures_util::{SinkExt, StreamExt};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Join, Sink};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

/// What a close frame said: code and reason, or nothing.
pub(crate) type Closed = Option<(u16, String)>;

/// A stream that a client can be made of.
pub(crate) trait Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin {}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Stream for S {}

/// A client that keeps the rules: tungstenite.
pub(crate) struct Client<S = TcpStream> {
    pub(crate) socket: WebSocketStream<S>,
    lines: VecDeque<String>,
}

/// Reads what a server sends to a client that writes by other means, or not at all: its answers go nowhere.
pub(crate) type Judge<R = OwnedReadHalf> = Client<Join<R, Sink>>;

impl Client {
    pub(crate) async fn connect(addr: SocketAddr, target: &str) -> Self {
        Self::over(TcpStream::connect(addr).await.unwrap(), target).await
    }
}

impl<S: Stream> Client<S> {
    /// Makes a handshake over a stream, and waits until the client is subscribed.
    pub(crate) async fn over(stream: S, target: &str) -> Self {
        let url = format!("ws://throng.test{target}");
        let (socket, _) = within(tokio_tungstenite::client_async(url, stream)).await.unwrap();
        let mut client = Self::new(socket);
        client.round_trip().await;
        client
    }

    fn new(socket: WebSocketStream<S>) -> Self {
        Self { socket, lines: VecDeque::new() }
    }

    pub(crate) async fn send(&mut self, message: impl Into<Message>) {
        within(self.socket.send(message.into())).await.unwrap();
    }

    /// Sends several messages with one flush.
    pub(crate) async fn send_all(&mut self, messages: impl IntoIterator<Item = Message>) {
        for message in messages {
            within(self.socket.feed(message)).await.unwrap();
        }
        within(self.socket.flush()).await.unwrap();
    }

    /// Sends a ping and waits for its answer. Everything that the client sent before has reached the hub then.
    pub(crate) async fn round_trip(&mut self) {
        self.send(Message::Ping("are you there".into())).await;
        loop {
            match self.next().await {
                Message::Pong(body) if body == "are you there" => return,
                Message::Text(text) => self.keep(&text),
                other => assert!(matches!(other, Message::Ping(_)), "{other:?}"),
            }
        }
    }

    /// Returns the next message of any kind.
    pub(crate) async fn next(&mut self) -> Message {
        within(self.socket.next()).await.expect("the connection ended").expect("the connection broke")
    }

    /// Returns the next text message as it came.
    pub(crate) async fn text(&mut self) -> String {
        loop {
            match self.next().await {
                Message::Text(text) => return text.to_string(),
                other => assert!(matches!(other, Message::Ping(_) | Message::Pong(_)), "{other:?}"),
            }
        }
    }

    /// Returns the next `count` lines, however they were joined.
    pub(crate) async fn lines(&mut self, count: usize) -> Vec<String> {
        while self.lines.len() < count {
            let text = self.text().await;
            self.keep(&text);
        }
        self.lines.drain(..count).collect()
    }

    /// Returns the next line.
    pub(crate) async fn line(&mut self) -> String {
        self.lines(1).await.remove(0)
    }

    /// Lines received and not looked at.
    pub(crate) fn kept(&self) -> &VecDeque<String> {
        &self.lines
    }

    fn keep(&mut self, text: &str) {
        self.lines.extend(text.split('\n').map(str::to_owned));
    }

    /// Waits for the close frame and then the end; keeps the lines that came before.
    pub(crate) async fn closed(&mut self) -> Closed {
        let closed = loop {
            match self.next().await {
                Message::Close(frame) => break frame,
                Message::Text(text) => self.keep(&text),
                other => assert!(matches!(other, Message::Ping(_) | Message::Pong(_)), "{other:?}"),
            }
        };
        match within(self.socket.next()).await {
            None | Some(Err(Error::ConnectionClosed)) => {}
            other => panic!("after the close frame came {other:?}"),
        }
        closed.map(|frame| (frame.code.into(), frame.reason.to_string()))
    }

    /// Closes with a code, or without, and returns the answer.
    pub(crate) async fn close(&mut self, code: Option<u16>) -> Closed {
        let frame = code.map(|code| CloseFrame { code: code.into(), reason: "".into() });
        within(self.socket.close(frame)).await.unwrap();
        self.closed().await
    }

    /// Returns the lines received and not looked at, and the way the connection ended.
    pub(crate) async fn rest(&mut self) -> (Vec<String>, Closed) {
        let closed = self.closed().await;
        (self.lines.drain(..).collect(), closed)
    }
}

impl<R: tokio::io::AsyncRead + Unpin> Judge<R> {
    /// Reads from `stream` what comes behind `early`.
    pub(crate) async fn reading(stream: R, early: Vec<u8>) -> Self {
        let stream = tokio::io::join(stream, tokio::io::sink());
        let config = WebSocketConfig::default().read_buffer_size(4096);
        Self::new(WebSocketStream::from_partially_read(stream, early, Role::Client, Some(config)).await)
    }
}

/// A client that writes plain bytes, and answers nothing by itself.
pub(crate) struct Raw {
    pub(crate) write: OwnedWriteHalf,
    pub(crate) judge: Judge,
}

impl Raw {
    /// Makes a handshake with `glued` bytes right after the request.
    pub(crate) async fn connect(addr: SocketAddr, target: &str, glued: &[u8]) -> Self {
        Self::over(TcpStream::connect(addr).await.unwrap(), target, glued).await
    }

    pub(crate) async fn over(stream: TcpStream, target: &str, glued: &[u8]) -> Self {
        let (stream, early) = handshake(stream, target, glued).await;
        let (read, write) = stream.into_split();
        Self { write, judge: Judge::reading(read, early).await }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).await.unwrap();
    }

    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        within(self.write.write_all(bytes)).await
    }

    /// Waits until the server has read everything that was sent.
    pub(crate) async fn round_trip(&mut self) {
        self.send(&frame(0x89, b"raw")).await;
        loop {
            match self.judge.next().await {
                Message::Pong(body) if body == "raw" => return,
                Message::Text(text) => self.judge.keep(&text),
                other => assert!(matches!(other, Message::Ping(_)), "{other:?}"),
            }
        }
    }

    pub(crate) async fn closed(&mut self) -> Closed {
        self.judge.closed().await
    }
}

/// Makes a handshake by hand; returns the bytes after its response.
pub(crate) async fn handshake(mut stream: TcpStream, target: &str, glued: &[u8]) -> (TcpStream, Vec<u8>) {
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: throng.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.set_nodelay(true).unwrap();
    within(stream.write_all(&[request.as_bytes(), glued].concat())).await.unwrap();
    let mut answer = Vec::new();
    let end = loop {
        assert_ne!(within(stream.read_buf(&mut answer)).await.unwrap(), 0, "{answer:?}");
        if let Some(at) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let early = answer.split_off(end);
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    // RFC 6455 section 1.3 has this very key and this answer to it.
    assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
    (stream, early)
}

/// Connects with a receive buffer of about the given bytes: a peer that soon takes nothing if it does not read.
pub(crate) async fn stream_with_buffer(addr: SocketAddr, bytes: u32) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(bytes).unwrap();
    socket.connect(addr).await.unwrap()
}

/// Returns a masked frame with this first byte. The mask is zero, which is legal and leaves the body readable.
pub(crate) fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match body.len() {
        len @ 0..=125 => frame.push(0x80 | u8::try_from(len).unwrap()),
        len @ 126..=0xffff => {
            frame.push(0xfe);
            frame.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        len => {
            frame.push(0xff);
            frame.extend(u64::try_from(len).unwrap().to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(body);
    frame
}

/// Returns a close frame with a code and a reason.
pub(crate) fn close_frame(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(0x88, &[&code.to_be_bytes(), reason].concat())
}
