//! A WebSocket server whose behaviour a test defines, faults included.

use futures_util::{SinkExt, StreamExt};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// Messages that may be queued for a client. No test sends as many.
const QUEUE: usize = 1 << 14;

/// The delay of a late message: longer than a delivery takes, shorter than a run waits after the last expected one.
const LATE_AFTER: Duration = Duration::from_millis(40);

/// The behaviour of a server.
pub(crate) trait Service: Send + 'static {
    /// Whether to accept a handshake, given the number of earlier ones; a refused one is answered with 503.
    fn accepts(&mut self, _number: usize) -> bool {
        true
    }

    /// Called once for each new client.
    fn on_connect(&mut self, _client: &mut Client) {}

    /// Called for each text message, which `clients[from]` sent.
    fn on_message(&mut self, clients: &mut [Client], from: usize, text: &str);

    /// Called for each binary message, which `clients[from]` sent.
    fn on_binary(&mut self, _clients: &mut [Client], _from: usize, _bytes: &[u8]) {}

    /// Called for each POST request, with the number of earlier ones; returns the whole response, or nothing to close
    /// the connection.
    fn on_post(&mut self, _clients: &mut [Client], _number: usize, _request: &Post) -> Option<String> {
        Some("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned())
    }
}

/// A POST request.
pub(crate) struct Post {
    pub(crate) path: String,
    /// The value of `X-API-Key`.
    pub(crate) key: String,
    pub(crate) body: serde_json::Value,
}

impl Post {
    /// Returns channel and text of each publication.
    pub(crate) fn publications(&self) -> Vec<(String, String)> {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let one = |body: &serde_json::Value| (text(&body["channel"]), text(&body["data"]));
        match self.body["commands"].as_array() {
            Some(commands) => commands.iter().map(|command| one(&command["publish"])).collect(),
            None => vec![one(&self.body)],
        }
    }
}

/// Returns a response.
pub(crate) fn response(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

/// Returns the response that accepts `len` publications.
pub(crate) fn accepted(is_batch: bool, len: usize) -> String {
    let replies = vec![r#"{"publish":{}}"#; len].join(",");
    let body = if is_batch { format!(r#"{{"replies":[{replies}]}}"#) } else { r#"{"result":{}}"#.to_owned() };
    response("200 OK", "", &body)
}

/// A server with an API: `answer` gets the number of each request with publications, counted from 0, and the request;
/// what it returns is sent instead of publishing.
struct ApiServer<F> {
    answer: F,
    /// Delivers each publication.
    chat: ChatServer<fn(usize, &str, &Client)>,
    requests: usize,
}

/// The key that [`api_server`] takes.
pub(crate) const KEY: &str = "the-key-of-the-tests";

impl<F: FnMut(usize, &Post) -> Option<Option<String>> + Send + 'static> Service for ApiServer<F> {
    fn on_message(&mut self, clients: &mut [Client], from: usize, text: &str) {
        self.chat.on_message(clients, from, text);
    }

    fn on_post(&mut self, clients: &mut [Client], _: usize, request: &Post) -> Option<String> {
        if request.key != KEY {
            let body = r#"{"error":{"code":101,"message":"a key is required"}}"#;
            return Some(response("401 Unauthorized", "", body));
        }
        let publications = request.publications();
        if publications[0].0.is_empty() {
            return Some(response("400 Bad Request", "", r#"{"error":{"code":107,"message":"channel: missing"}}"#));
        }
        self.requests += 1;
        if let Some(answer) = (self.answer)(self.requests - 1, request) {
            return answer;
        }
        for (channel, text) in &publications {
            let query = format!("channel={channel}");
            for client in clients.iter().filter(|client| client.query == query) {
                client.write(text);
            }
        }
        Some(accepted(request.path == "/api/batch", publications.len()))
    }
}

/// Starts a server with an API that delivers, for each publication, the texts that `tamper` makes of it.
pub(crate) fn publishing_server(mut tamper: impl FnMut(&str) -> Vec<String> + Send + 'static) -> SocketAddr {
    struct Tampering<F>(F);
    impl<F: FnMut(&str) -> Vec<String> + Send + 'static> Service for Tampering<F> {
        fn on_message(&mut self, _: &mut [Client], _: usize, _: &str) {}

        fn on_post(&mut self, clients: &mut [Client], _: usize, request: &Post) -> Option<String> {
            let publications = request.publications();
            for (_, text) in publications.iter().filter(|(channel, _)| !channel.is_empty()) {
                let texts = (self.0)(text);
                clients.iter().for_each(|client| texts.iter().for_each(|text| client.write(text)));
            }
            Some(accepted(false, publications.len()))
        }
    }
    start(Tampering(move |text: &str| tamper(text)))
}

/// Starts a server with an API; `answer` may answer instead of it (`Some`), or close the connection (`Some(None)`).
pub(crate) fn api_server(answer: impl FnMut(usize, &Post) -> Option<Option<String>> + Send + 'static) -> SocketAddr {
    start(ApiServer { answer, chat: ChatServer { deliver: |_, _, _| {}, count: 0 }, requests: 0 })
}

/// A chat server: calls `deliver` for each message and each client of its channel, which the query of the URL names.
struct ChatServer<F> {
    deliver: F,
    count: usize,
}

impl<F: FnMut(usize, &str, &Client) + Send + 'static> Service for ChatServer<F> {
    fn on_message(&mut self, clients: &mut [Client], from: usize, text: &str) {
        let channel = clients[from].query.clone();
        for client in clients.iter().filter(|client| client.query == channel) {
            (self.deliver)(self.count, text, client);
        }
        self.count += 1;
    }
}

/// Starts a chat server that calls `deliver` with the number of each message, its text, and each client of its channel.
pub(crate) fn chat_server(deliver: impl FnMut(usize, &str, &Client) + Send + 'static) -> SocketAddr {
    start(ChatServer { deliver, count: 0 })
}

/// Starts a chat server without faults.
pub(crate) fn correct_server() -> SocketAddr {
    chat_server(|_, text, client| client.write(text))
}

/// A connected client, as the server sees it.
pub(crate) struct Client {
    /// The number of the client in the run, from its source address.
    pub(crate) number: usize,
    /// The query of the URL that it requested.
    pub(crate) query: String,
    /// Its subscriptions; maintained by the service.
    pub(crate) channels: Vec<String>,
    queue: Sender<Command>,
}

/// A command to the task that writes to a client.
enum Command {
    Text(Utf8Bytes),
    Binary(Vec<u8>),
    Late(Utf8Bytes),
    Raw(&'static [u8]),
    Close(u16, &'static str),
    Cut,
}

impl Client {
    pub(crate) fn write(&self, text: &str) {
        self.enqueue(Command::Text(text.into()));
    }

    pub(crate) fn write_binary(&self, bytes: Vec<u8>) {
        self.enqueue(Command::Binary(bytes));
    }

    /// Writes a text after [`LATE_AFTER`]; later messages follow it.
    pub(crate) fn write_late(&self, text: &str) {
        self.enqueue(Command::Late(text.into()));
    }

    /// Writes raw bytes to the socket, between two frames.
    pub(crate) fn write_raw(&self, bytes: &'static [u8]) {
        self.enqueue(Command::Raw(bytes));
    }

    pub(crate) fn close(&self, code: u16, reason: &'static str) {
        self.enqueue(Command::Close(code, reason));
    }

    /// Ends the connection without a close frame.
    pub(crate) fn cut(&self) {
        self.enqueue(Command::Cut);
    }

    fn enqueue(&self, command: Command) {
        // The client may have disconnected.
        drop(self.queue.try_send(command));
    }
}

/// The clients of a server, and its behaviour.
struct State {
    clients: Vec<Client>,
    handshakes: usize,
    posts: usize,
    service: Box<dyn Service>,
}

type Shared = Arc<Mutex<State>>;

/// Starts a server.
pub(crate) fn start(service: impl Service) -> SocketAddr {
    let state = State { clients: Vec::new(), handshakes: 0, posts: 0, service: Box::new(service) };
    let state = Arc::new(Mutex::new(state));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, peer)) = listener.accept().await {
                tokio::spawn(serve_client(stream, peer, Arc::clone(&state)));
            }
        });
    });
    address
}

/// Answers POST requests until one side closes the connection.
async fn serve_posts(mut stream: TcpStream, state: Shared) {
    let mut bytes = Vec::new();
    loop {
        let request = loop {
            if let Some(request) = take_post(&mut bytes) {
                break request;
            }
            if stream.read_buf(&mut bytes).await.is_ok_and(|len| len > 0) {
                continue;
            }
            return;
        };
        let answer = {
            let State { clients, service, posts, .. } = &mut *state.lock().unwrap();
            *posts += 1;
            service.on_post(clients, *posts - 1, &request)
        };
        match answer {
            Some(answer) if stream.write_all(answer.as_bytes()).await.is_ok() => {}
            _ => return,
        }
    }
}

/// Takes a request from the front of `bytes`, if all of it has come.
fn take_post(bytes: &mut Vec<u8>) -> Option<Post> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    let len: usize = header("Content-Length").unwrap().parse().unwrap();
    let body = serde_json::from_slice(bytes.get(end + 4..end + 4 + len)?).unwrap();
    bytes.drain(..end + 4 + len);
    let path = head.split(' ').nth(1).unwrap().to_owned();
    Some(Post { path, key: header("X-API-Key").unwrap_or_default(), body })
}

/// Serves one client until one side closes the connection.
async fn serve_client(stream: TcpStream, peer: SocketAddr, state: Shared) {
    stream.set_nodelay(true).unwrap();
    let wire = socket2::SockRef::from(&stream).try_clone().unwrap();
    let (queue, commands) = channel(QUEUE);
    let mut query = String::new();
    #[expect(clippy::result_large_err, reason = "the trait wants it")]
    let on_request = |request: &Request, mut response: Response| {
        // The server speaks whatever subprotocol it is asked for.
        if let Some(name) = request.headers().get("sec-websocket-protocol") {
            response.headers_mut().insert("sec-websocket-protocol", name.clone());
        }
        request.uri().query().unwrap_or_default().clone_into(&mut query);
        let mut state = state.lock().unwrap();
        state.handshakes += 1;
        let number = state.handshakes - 1;
        if state.service.accepts(number) {
            return Ok(response);
        }
        let mut refusal = ErrorResponse::new(None);
        *refusal.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        Err(refusal)
    };
    let mut start = [0; 4];
    if stream.peek(&mut start).await.is_ok() && start == *b"POST" {
        return serve_posts(stream, state).await;
    }
    let Ok(socket) = accept_hdr_async(stream, on_request).await else { return };
    let id = queue.clone();
    let mut client = Client { number: number(peer), query, channels: Vec::new(), queue };
    {
        let mut state = state.lock().unwrap();
        state.service.on_connect(&mut client);
        state.clients.push(client);
    }
    let (sink, mut source) = socket.split();
    let read = async {
        while let Some(Ok(message)) = source.next().await {
            let State { clients, service, .. } = &mut *state.lock().unwrap();
            let from = clients.iter().position(|client| client.queue.same_channel(&id)).unwrap();
            match message {
                Message::Text(text) => service.on_message(clients, from, &text),
                Message::Binary(bytes) => service.on_binary(clients, from, &bytes),
                _ => {}
            }
        }
    };
    tokio::select! { () = read => {}, () = write(sink, commands, &wire) => {} }
    state.lock().unwrap().clients.retain(|client| !client.queue.same_channel(&id));
}

type Sink = futures_util::stream::SplitSink<tokio_tungstenite::WebSocketStream<TcpStream>, Message>;

/// Executes the commands. After a close the socket is read until the client closes it too: a socket that is dropped
/// with unread data resets the connection, and the client may never see the close frame.
async fn write(mut sink: Sink, mut commands: Receiver<Command>, wire: &socket2::Socket) {
    while let Some(command) = commands.recv().await {
        let is_over = matches!(command, Command::Close(..) | Command::Cut);
        let sent = match command {
            Command::Text(text) => sink.send(Message::Text(text)).await.is_ok(),
            Command::Binary(bytes) => sink.send(Message::Binary(bytes.into())).await.is_ok(),
            Command::Late(text) => {
                tokio::time::sleep(LATE_AFTER).await;
                sink.send(Message::Text(text)).await.is_ok()
            }
            Command::Raw(bytes) => wire.send(bytes).is_ok_and(|len| len == bytes.len()),
            Command::Close(code, reason) => {
                let frame = CloseFrame { code: code.into(), reason: reason.into() };
                sink.send(Message::Close(Some(frame))).await.is_ok()
            }
            Command::Cut => wire.shutdown(Shutdown::Write).is_ok(),
        };
        if is_over && sent {
            std::future::pending::<()>().await;
        }
        if !sent {
            return;
        }
    }
}

/// Returns the number of a client: 0 for 127.0.0.1.
fn number(peer: SocketAddr) -> usize {
    match peer.ip() {
        IpAddr::V4(ip) => usize::from(ip.octets()[3]) - 1,
        IpAddr::V6(_) => 0,
    }
}
