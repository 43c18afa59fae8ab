//! A server: passes on what its members send, as a test's service wants it, faults included.

use std::net::{IpAddr, Shutdown, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// Messages that may wait for a member. No test sends as many.
const QUEUE: usize = 1 << 14;

/// Longer than a message takes, and shorter than a run listens when it has everything.
const LATE: Duration = Duration::from_millis(40);

/// What a server does.
pub(crate) trait Service: Send + 'static {
    /// Says whether to accept a handshake, given how many came before it; the others are answered 503.
    fn admit(&mut self, _number: usize) -> bool {
        true
    }

    /// Greets a member.
    fn join(&mut self, _member: &mut Member) {}

    /// Takes a message of one of the members.
    fn hear(&mut self, members: &mut [Member], from: usize, text: &str);
}

/// Everybody in a channel hears what one of them says, in the way of the function. The address names the channel.
struct Chat<F> {
    behave: F,
    count: usize,
}

impl<F: FnMut(usize, &str, &Member) + Send + 'static> Service for Chat<F> {
    fn hear(&mut self, members: &mut [Member], from: usize, text: &str) {
        let channel = members[from].query.clone();
        for member in members.iter().filter(|member| member.query == channel) {
            (self.behave)(self.count, text, member);
        }
        self.count += 1;
    }
}

/// Starts a chat server that calls `behave` with the number of each message, its text, and each member to hear it.
pub(crate) fn serve(behave: impl FnMut(usize, &str, &Member) + Send + 'static) -> SocketAddr {
    start(Chat { behave, count: 0 })
}

/// Starts a chat server as it should be.
pub(crate) fn faithful() -> SocketAddr {
    serve(|_, text, member| member.write(text))
}

/// Somebody who is connected.
pub(crate) struct Member {
    /// Its number in the run, taken from its source address.
    pub(crate) number: usize,
    /// What it asked for.
    pub(crate) query: String,
    /// What it subscribed to since; the service's to fill.
    pub(crate) channels: Vec<String>,
    queue: Sender<Out>,
}

/// What to do to a member.
enum Out {
    Text(Utf8Bytes),
    Late(Utf8Bytes),
    Raw(&'static [u8]),
    Close(u16, &'static str),
    Cut,
}

impl Member {
    pub(crate) fn write(&self, text: &str) {
        self.put(Out::Text(text.into()));
    }

    /// Writes a text after [`LATE`], and everything else behind it.
    pub(crate) fn write_late(&self, text: &str) {
        self.put(Out::Late(text.into()));
    }

    /// Writes bytes past the WebSocket, between two frames.
    pub(crate) fn write_raw(&self, bytes: &'static [u8]) {
        self.put(Out::Raw(bytes));
    }

    pub(crate) fn close(&self, code: u16, reason: &'static str) {
        self.put(Out::Close(code, reason));
    }

    /// Ends the connection without a close frame.
    pub(crate) fn cut(&self) {
        self.put(Out::Cut);
    }

    fn put(&self, out: Out) {
        // The member may have left.
        drop(self.queue.try_send(out));
    }
}

/// The members, and what is done with them.
struct Room {
    members: Vec<Member>,
    handshakes: usize,
    service: Box<dyn Service>,
}

type Shared = Arc<Mutex<Room>>;

/// Starts a server.
pub(crate) fn start(service: impl Service) -> SocketAddr {
    let room = Room { members: Vec::new(), handshakes: 0, service: Box::new(service) };
    let room = Arc::new(Mutex::new(room));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, peer)) = listener.accept().await {
                tokio::spawn(member(stream, peer, Arc::clone(&room)));
            }
        });
    });
    address
}

/// Serves one member until it leaves or is put out.
async fn member(stream: TcpStream, peer: SocketAddr, room: Shared) {
    stream.set_nodelay(true).unwrap();
    let wire = socket2::SockRef::from(&stream).try_clone().unwrap();
    let (queue, outs) = channel(QUEUE);
    let mut query = String::new();
    #[expect(clippy::result_large_err, reason = "the trait wants it")]
    let shake = |request: &Request, response: Response| {
        request.uri().query().unwrap_or_default().clone_into(&mut query);
        let mut room = room.lock().unwrap();
        room.handshakes += 1;
        let number = room.handshakes - 1;
        if room.service.admit(number) {
            return Ok(response);
        }
        let mut refusal = ErrorResponse::new(None);
        *refusal.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        Err(refusal)
    };
    let Ok(socket) = accept_hdr_async(stream, shake).await else { return };
    let id = queue.clone();
    let mut member = Member { number: number(peer), query, channels: Vec::new(), queue };
    {
        let mut room = room.lock().unwrap();
        room.service.join(&mut member);
        room.members.push(member);
    }
    let (sink, mut source) = socket.split();
    let read = async {
        while let Some(Ok(message)) = source.next().await {
            if let Message::Text(text) = message {
                let Room { members, service, .. } = &mut *room.lock().unwrap();
                let from = members.iter().position(|member| member.queue.same_channel(&id)).unwrap();
                service.hear(members, from, &text);
            }
        }
    };
    tokio::select! { () = read => {}, () = write(sink, outs, &wire) => {} }
    room.lock().unwrap().members.retain(|member| !member.queue.same_channel(&id));
}

type Sink = futures_util::stream::SplitSink<tokio_tungstenite::WebSocketStream<TcpStream>, Message>;

/// Writes what the behaviour wants. Whoever is put out is read on to its own end, because a socket that is dropped with
/// something unread resets the connection, and the peer may never see why it ended.
async fn write(mut sink: Sink, mut outs: Receiver<Out>, wire: &socket2::Socket) {
    while let Some(out) = outs.recv().await {
        let is_over = matches!(out, Out::Close(..) | Out::Cut);
        let sent = match out {
            Out::Text(text) => sink.send(Message::Text(text)).await.is_ok(),
            Out::Late(text) => {
                tokio::time::sleep(LATE).await;
                sink.send(Message::Text(text)).await.is_ok()
            }
            Out::Raw(bytes) => wire.send(bytes).is_ok_and(|len| len == bytes.len()),
            Out::Close(code, reason) => {
                let frame = CloseFrame { code: code.into(), reason: reason.into() };
                sink.send(Message::Close(Some(frame))).await.is_ok()
            }
            Out::Cut => wire.shutdown(Shutdown::Write).is_ok(),
        };
        if is_over && sent {
            std::future::pending::<()>().await;
        }
        if !sent {
            return;
        }
    }
}

/// 127.0.0.1 is the first.
fn number(peer: SocketAddr) -> usize {
    match peer.ip() {
        IpAddr::V4(ip) => usize::from(ip.octets()[3]) - 1,
        IpAddr::V6(_) => 0,
    }
}
