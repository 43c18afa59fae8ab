//! A client of `/ws`, as docs/protocol.md describes it: plain lines, or lines with numbers and what was missed.

use crate::checker::Seen;
use crate::subscriber::{Notes, SILENCE_MAX, Socket, open, send};
use futures_util::StreamExt;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::ClientRequestBuilder;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// What lines of the hub itself begin with.
const NOTICE: &str = " [throng] ";

/// The hub closes a connection with this code when its client should have got what is lost.
const INSUFFICIENT_STATE: u16 = 4010;

pub(crate) struct Chat {
    is_numbered: bool,
    notes: Arc<Notes>,
    /// Where a numbered one stands: epoch and offset.
    position: Option<(String, u64)>,
    /// Lines of the past that are still to come, and where it stands after them.
    past: Option<(u64, u64)>,
    /// It was told in a line that something is lost, so the next lines may be of an epoch that it does not know.
    is_told: bool,
}

impl Chat {
    pub(crate) fn new(is_numbered: bool, notes: Arc<Notes>) -> Self {
        Self { is_numbered, notes, position: None, past: None, is_told: false }
    }

    /// Connects, and goes on until that ends.
    pub(crate) async fn connection(&mut self, addr: SocketAddr) -> Option<()> {
        let since = self.position.as_ref().map(|(epoch, offset)| format!("&since={epoch}:{offset}"));
        let uri = format!("ws://throng.test/ws?channel={}{}", self.notes.channel, since.unwrap_or_default());
        let mut request = ClientRequestBuilder::new(uri.parse().unwrap());
        if self.is_numbered {
            request = request.with_sub_protocol("throng.numbered");
        }
        let mut socket = open(addr, request).await?;
        let end = self.lines(&mut socket).await;
        if !self.is_numbered {
            self.ended(end);
        }
        None
    }

    /// Reads to the end, and returns the close code.
    async fn lines(&mut self, socket: &mut Socket) -> Option<u16> {
        // The answer says that it is subscribed.
        send(socket, Message::Ping("there?".into())).await?;
        loop {
            match timeout(SILENCE_MAX, socket.next()).await.ok()??.ok()? {
                Message::Text(text) => self.text(&text),
                Message::Pong(_) if !self.is_numbered => self.notes.note(Seen::Here),
                Message::Close(close) => {
                    self.notes.tell(&format!("{close:?}"));
                    return close.map(|close| close.code.into());
                }
                _ => {}
            }
        }
    }

    fn text(&mut self, text: &Utf8Bytes) {
        for line in text.split('\n') {
            match line.strip_prefix(NOTICE) {
                Some(notice) => self.notice(notice),
                None if self.is_numbered => self.numbered(line),
                None => self.notes.note(Seen::Line { body: line.to_owned() }),
            }
        }
    }

    fn notice(&mut self, notice: &str) {
        self.notes.tell(notice);
        if let Some(position) = notice.strip_prefix("position ") {
            self.started(position);
        } else if notice.starts_with("messages lost") || notice.contains("skipped") {
            self.is_told = self.is_numbered;
            self.notes.note(Seen::Gap);
        }
    }

    /// `EPOCH:OFFSET N`, and `recovered` or `incomplete` if it has said where it was.
    fn started(&mut self, position: &str) {
        let mut words = position.split(' ');
        let (epoch, offset) = words.next().and_then(|word| word.split_once(':')).unwrap();
        let (offset, past): (u64, u64) = (offset.parse().unwrap(), words.next().unwrap().parse().unwrap());
        let outcome = words.next();
        assert_eq!(outcome.is_some(), self.position.is_some(), "{position} after {:?}", self.position);
        if outcome == Some("incomplete") {
            self.notes.note(Seen::Gap);
        }
        // Where it is until it has what it missed; a connection that ends before goes on there.
        let at = self.position.take().filter(|_| outcome == Some("recovered")).map_or(offset, |(_, at)| at);
        (self.position, self.is_told) = (Some((epoch.to_owned(), at)), false);
        self.past = Some((past, offset));
        self.end_past();
    }

    /// Begins with what is published now, if it has all of the past.
    fn end_past(&mut self) {
        if let (Some((0, offset)), Some((epoch, at))) = (self.past, &mut self.position) {
            (self.past, *at) = (None, offset);
            self.notes.note(Seen::Start { epoch: epoch.clone(), offset });
        }
    }

    /// `OFFSET TIME TEXT`.
    fn numbered(&mut self, line: &str) {
        let mut words = line.splitn(3, ' ');
        let offset: u64 = words.next().unwrap().parse().unwrap();
        let body = words.nth(1).unwrap().to_owned();
        if let Some((_, at)) = &mut self.position {
            *at = offset;
        }
        if let Some((left, _)) = &mut self.past {
            *left -= 1;
            self.notes.note(Seen::Recovered { offset, body });
            self.end_past();
        } else if self.is_told {
            self.notes.note(Seen::Line { body });
        } else {
            self.notes.note(Seen::Publication { offset, body });
        }
    }

    /// The connection of one without numbers has ended: it does not get what comes until the next one.
    fn ended(&self, code: Option<u16>) {
        if code == Some(INSUFFICIENT_STATE) {
            self.notes.note(Seen::Gap);
        }
        self.notes.note(Seen::Away);
    }
}
