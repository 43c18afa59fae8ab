//! A peer: one client of a simulated hub, whose frames a second implementation decodes.

use super::deltas::Chains;
use super::simulated_hub::SimulatedHub;
use super::{End, Pipe};
use prost::Message as _;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use throng::hub::{Channel, Command, ConnectionId, MessageShape, OnLag, Since};
use throng::protocol::centrifuge::close::disconnect_code;
use throng::protocol::position::Start;
use throng::protocol::{CloseReason, Encoding, Profile};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

/// A client of a simulated hub.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(super) hub: SimulatedHub,
    pub(super) state: Rc<State>,
}

/// What is known of a client.
pub(super) struct State {
    id: ConnectionId,
    pipe: Pipe,
    pub(super) shape: MessageShape,
    /// What others may know of it.
    pub(super) info: RefCell<Option<Arc<Profile>>>,
    reader: RefCell<Reader>,
    pub(super) channels: RefCell<Vec<Arc<Channel>>>,
    /// What becomes of a subscription of it that lags.
    pub(super) on_lag: Cell<OnLag>,
    /// It never answers a ping.
    is_mute: Cell<bool>,
    pub(super) has_left: Cell<bool>,
}

/// What a client understood so far.
struct Reader {
    socket: WebSocket<Pipe>,
    texts: Vec<String>,
    pongs: Vec<Vec<u8>>,
    pings: usize,
    close: Option<CloseReason>,
    /// If it gets its publications as deltas.
    chains: Option<Chains>,
}

impl State {
    pub(super) fn new(id: ConnectionId, pipe: Pipe, shape: MessageShape) -> Self {
        let config = WebSocketConfig::default().read_buffer_size(4096);
        let socket = WebSocket::from_raw_socket(pipe.clone(), Role::Client, Some(config));
        let chains = matches!(shape.encoding, Encoding::CentrifugeDeltas(_)).then(Chains::default);
        let reader = Reader { socket, texts: vec![], pongs: vec![], pings: 0, close: None, chains };
        let (reader, channels) = (RefCell::new(reader), RefCell::default());
        let (info, on_lag) = (RefCell::default(), Cell::default());
        Self { id, pipe, shape, info, reader, channels, on_lag, is_mute: Cell::default(), has_left: Cell::default() }
    }

    /// Decodes what arrived and returns how many pings the peer is going to answer.
    pub(super) fn read(&self) -> usize {
        let before = self.reader.borrow().pings;
        self.reader.borrow_mut().read();
        let pings = self.reader.borrow().pings - before;
        if self.is_mute.get() || self.has_left.get() || self.pipe.is_gone() { 0 } else { pings }
    }

    pub(super) fn id(&self) -> ConnectionId {
        self.id
    }
}

impl Reader {
    fn read(&mut self) {
        while self.close.is_none() {
            match self.socket.read() {
                // The ping of the Centrifuge protocol is an empty message.
                Ok(Message::Text(text)) if text == "{}" => self.pings += 1,
                Ok(Message::Binary(body)) if body[..] == [0] => self.pings += 1,
                Ok(Message::Text(text)) => self.texts.push(with_events(&text, self.chains.as_mut())),
                Ok(Message::Binary(body)) => self.texts.push(pushes(&body, self.chains.as_mut())),
                Ok(Message::Ping(_)) => self.pings += 1,
                Ok(Message::Pong(body)) => self.pongs.push(body.to_vec()),
                Ok(Message::Close(frame)) => {
                    let code = frame.as_ref().map(|frame| u16::from(frame.code));
                    let text = frame.map_or(String::new(), |frame| frame.reason.to_string());
                    let is_it = |reason: &CloseReason| {
                        let of_chat = (reason.code().map(|code| code.as_u16()), reason.text());
                        let of_centrifuge = disconnect_code(*reason).map(|code| (Some(code.number()), code.text()));
                        let received = (code, text.as_str());
                        received == of_chat || Some(received) == of_centrifuge
                    };
                    let known = CloseReason::ALL.into_iter().find(is_it);
                    self.close = Some(known.unwrap_or_else(|| panic!("closed with {code:?} {text:?}")));
                }
                Ok(other) => panic!("unexpected {other:?}"),
                Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(error) => panic!("the stream is broken: {error}"),
            }
        }
    }
}

/// Reads pushes from Protobuf, and returns them as JSON has them: one per line.
fn pushes(mut body: &[u8], mut chains: Option<&mut Chains>) -> String {
    let mut lines = vec![];
    while !body.is_empty() {
        let Push { channel, publication, join, leave } =
            Reply::decode_length_delimited(&mut body).unwrap().push.unwrap();
        let info =
            |event: Presence| event.info.map(|info| json!({ "user": info.user, "client": info.client })).unwrap();
        lines.push(match (publication, join, leave) {
            (Some(Publication { data, offset, delta }), None, None) => {
                let data = match &mut chains {
                    Some(chains) => chains.whole(&channel, &data, delta),
                    None => data,
                };
                let data: Value = serde_json::from_slice(&data).unwrap();
                json!({ "push": { "channel": channel, "pub": { "offset": offset, "data": data } } }).to_string()
            }
            (None, Some(join), None) => format!(" [throng] joined {}", info(join)),
            (None, None, Some(leave)) => format!(" [throng] left {}", info(leave)),
            other => panic!("{other:?}"),
        });
    }
    lines.join("\n")
}

/// Returns the lines of a message, those of joins and leaves as the chat protocol has them, and whole publications.
fn with_events(text: &str, mut chains: Option<&mut Chains>) -> String {
    let line = |line: &str| {
        let push = line.strip_prefix(r#"{"push":"#).and_then(|_| serde_json::from_str::<Value>(line).ok());
        let event = push.and_then(|mut push| {
            let words = [("join", "joined"), ("leave", "left")];
            let found = words.into_iter().find(|(kind, _)| push["push"][kind].is_object());
            let event = found.map(|(kind, word)| format!(" [throng] {word} {}", push["push"][kind]["info"]));
            event.or_else(|| {
                let chains = chains.as_deref_mut()?;
                let (channel, publication) = (push["push"]["channel"].to_string(), &mut push["push"]["pub"]);
                let data = publication["data"].as_str().expect("where deltas come, data is a string");
                let whole = chains.whole(&channel, data.as_bytes(), publication["delta"] == json!(true));
                publication["data"] = serde_json::from_slice(&whole).unwrap();
                Some(push.to_string())
            })
        });
        event.unwrap_or_else(|| line.to_owned())
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

#[derive(prost::Message)]
struct Reply {
    #[prost(message, optional, tag = "4")]
    push: Option<Push>,
}

#[derive(prost::Message)]
struct Push {
    #[prost(string, tag = "2")]
    channel: String,
    #[prost(message, optional, tag = "4")]
    publication: Option<Publication>,
    #[prost(message, optional, tag = "5")]
    join: Option<Presence>,
    #[prost(message, optional, tag = "6")]
    leave: Option<Presence>,
}

#[derive(prost::Message)]
struct Presence {
    #[prost(message, optional, tag = "1")]
    info: Option<Info>,
}

#[derive(prost::Message)]
struct Info {
    #[prost(string, tag = "1")]
    user: String,
    #[prost(string, tag = "2")]
    client: String,
}

#[derive(prost::Message)]
struct Publication {
    #[prost(bytes = "vec", tag = "4")]
    data: Vec<u8>,
    #[prost(uint64, tag = "6")]
    offset: u64,
    #[prost(bool, tag = "8")]
    delta: bool,
}

impl Peer {
    /// Subscribes; the peer gets what is published from here on.
    pub(crate) fn subscribe(self, channel: &str) -> Self {
        self.hub.subscribe(&self, channel, Since::Now);
        self
    }

    /// Subscribes; the peer gets what the channel keeps first, as far as it asks for it.
    pub(crate) fn subscribe_since(&self, channel: &str, since: Since) -> Start {
        self.hub.subscribe(self, channel, since)
    }

    /// Notes a subscription that was made for the peer.
    pub(crate) fn note_subscription(&self, name: &str, channel: Arc<Channel>) {
        self.hub.note_subscription(self, name, channel);
    }

    /// Gets no more of a channel.
    pub(crate) fn unsubscribe(&self, channel: &str) {
        self.hub.unsubscribe(self, channel);
    }

    /// Is a client of this user from here on.
    pub(crate) fn user(self, name: &str) -> Self {
        let info = Profile { user: Some(name.into()), ..Profile::ANONYMOUS };
        self.state.info.replace(Some(Arc::new(info)));
        self
    }

    /// The name of its user; empty for an anonymous client.
    pub(crate) fn user_name(&self) -> String {
        self.state.info.borrow().as_ref().map_or_else(String::new, |info| info.user().to_owned())
    }

    /// This becomes of its subscriptions from here on if they lag.
    pub(crate) fn on_lag(self, on_lag: OnLag) -> Self {
        self.state.on_lag.set(on_lag);
        self
    }

    /// Stops reading: its socket is full.
    pub(crate) fn stalled(self) -> Self {
        self.state.pipe.limit(0);
        self
    }

    /// Never answers a ping.
    pub(crate) fn mute(self) -> Self {
        self.state.is_mute.set(true);
        self
    }

    /// Reads everything from here on.
    pub(crate) fn resume(&self) {
        self.state.pipe.open();
    }

    /// Ends like a session whose socket has ended.
    pub(crate) fn leave(&self) {
        if self.state.has_left.replace(true) {
            return;
        }
        for channel in self.state.channels.borrow().iter() {
            self.hub.hub().leave(self.id(), channel);
        }
        self.hub.push(self.id().shard(), Command::Disconnect { id: self.id() });
    }

    pub(crate) fn id(&self) -> ConnectionId {
        self.state.id
    }

    pub(crate) fn pipe(&self) -> &Pipe {
        &self.state.pipe
    }

    pub(crate) fn has_left(&self) -> bool {
        self.state.has_left.get()
    }

    /// Text messages as they arrived.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.state.read();
        self.state.reader.borrow().texts.clone()
    }

    /// Lines of all text messages.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.texts().iter().flat_map(|text| text.split('\n')).map(str::to_owned).collect()
    }

    pub(crate) fn pongs(&self) -> Vec<Vec<u8>> {
        self.state.read();
        self.state.reader.borrow().pongs.clone()
    }

    /// Publications that came as deltas.
    pub(crate) fn deltas(&self) -> usize {
        self.state.read();
        self.state.reader.borrow().chains.as_ref().map_or(0, |chains| chains.deltas)
    }

    pub(crate) fn pings(&self) -> usize {
        self.state.reader.borrow().pings
    }

    /// What the close frame said.
    pub(crate) fn closed(&self) -> Option<CloseReason> {
        self.state.read();
        self.state.reader.borrow().close
    }

    pub(crate) fn end(&self) -> End {
        self.state.pipe.end()
    }
}
