//! A WebSocket server whose behaviour a test defines, faults included.

use futures_util::{SinkExt, StreamExt};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
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
    Late(Utf8Bytes),
    Raw(&'static [u8]),
    Close(u16, &'static str),
    Cut,
}

impl Client {
    pub(crate) fn write(&self, text: &str) {
        self.enqueue(Command::Text(text.into()));
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
    service: Box<dyn Service>,
}

type Shared = Arc<Mutex<State>>;

/// Starts a server.
pub(crate) fn start(service: impl Service) -> SocketAddr {
    let state = State { clients: Vec::new(), handshakes: 0, service: Box::new(service) };
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

/// Serves one client until one side closes the connection.
async fn serve_client(stream: TcpStream, peer: SocketAddr, state: Shared) {
    stream.set_nodelay(true).unwrap();
    let wire = socket2::SockRef::from(&stream).try_clone().unwrap();
    let (queue, commands) = channel(QUEUE);
    let mut query = String::new();
    #[expect(clippy::result_large_err, reason = "the trait wants it")]
    let on_request = |request: &Request, response: Response| {
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
            if let Message::Text(text) = message {
                let State { clients, service, .. } = &mut *state.lock().unwrap();
                let from = clients.iter().position(|client| client.queue.same_channel(&id)).unwrap();
                service.on_message(clients, from, &text);
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
