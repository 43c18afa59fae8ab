//! The HTTP face: which path is answered by what.

use super::exposition;
use super::handshake::{self, Refusal};
use super::pages;
use super::serve::Door;
use super::socket::SocketSink;
use super::upgrade::Agreed;
use crate::config::Config;
use crate::hub::Hub;
use crate::protocol::ChannelName;
use crate::session::Face;
use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::service::Service;
use hyper::{Method, Request, Response, StatusCode};
use std::cell::RefCell;
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use tokio::sync::watch;

type Answer = Response<Full<Bytes>>;

const TEXT: &str = "text/plain; charset=utf-8";

/// What every request may need.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) hub: Hub<SocketSink>,
    /// What the operator decided; a reload replaces it.
    pub(super) settings: ArcSwap<Config>,
    /// Moves on the moment a stop begins: balancers shall look elsewhere.
    pub(super) stage: watch::Sender<Stage>,
}

/// How far the end of a server has come.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Stage {
    /// Everything is served.
    Serving,
    /// Connections are closed after their backlog. Who asks meanwhile is told so, which a closed door would not do.
    Stopping,
    /// They have ended. Nobody is accepted.
    Ending,
}

impl Context {
    pub(super) fn stage(&self) -> Stage {
        *self.stage.borrow()
    }
}

/// What answers the requests of one HTTP connection, and keeps what the last of them may have settled.
#[derive(Debug)]
pub(super) struct Desk {
    context: Arc<Context>,
    door: Arc<Door>,
    /// Who is on the other side of the socket: a client, or a balancer.
    peer: IpAddr,
    agreed: RefCell<Option<Agreed>>,
}

impl Desk {
    pub(super) fn new(context: Arc<Context>, door: Arc<Door>, peer: IpAddr) -> Self {
        Self { context, door, peer, agreed: RefCell::new(None) }
    }

    /// Returns what a request has settled that was answered with 101.
    pub(super) fn agreed(self) -> Option<Agreed> {
        self.agreed.into_inner()
    }

    fn respond(&self, request: Request<Incoming>) -> Answer {
        let answer = match request.uri().path() {
            "/ws" => self.upgrade(request, Face::Plain),
            "/echo" if self.context.settings.load().echo => self.upgrade(request, Face::Echo),
            path => serve(&self.context, path, request.method()),
        };
        answer.unwrap_or_else(|refusal| refuse(&self.context, &refusal))
    }

    /// Returns the address of the client behind the request.
    fn client(&self, _headers: &HeaderMap) -> IpAddr {
        self.peer
    }

    /// Checks a handshake, takes a place for the connection, and switches protocols.
    fn upgrade(&self, mut request: Request<Incoming>, face: Face) -> Result<Answer, Refusal> {
        let Context { hub, .. } = &*self.context;
        handshake::check(&request)?;
        let named = handshake::channel(request.uri().query())?;
        if self.context.stage() > Stage::Serving {
            return Err(Refusal::Stopping);
        }
        let seat = hub.place().ok_or(Refusal::Full)?;
        let channel = match face {
            Face::Plain => named,
            Face::Echo => ChannelName::private("echo", seat.id()),
        };
        if !hub.directory().has_room_for(&channel) {
            return Err(Refusal::TooManyChannels);
        }
        // Its future would hand the socket over through a channel and an 8 KiB buffer; the server takes it as it is.
        let (response, _) = fastwebsockets::upgrade::upgrade(&mut request)
            .map_err(|_| Refusal::BadRequest("the handshake is malformed"))?;
        let client = self.client(request.headers());
        self.agreed.replace(Some(Agreed { hub: hub.clone(), seat, face, channel, client }));
        Ok(response.map(|_| Full::default()))
    }
}

impl Service<Request<Incoming>> for Desk {
    type Response = Answer;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        Answering::now(self.respond(request))
    }
}

/// An answer that is there, or one that a shard is asked for.
pub(super) enum Answering {
    Now(Option<Answer>),
    Later(Pin<Box<dyn Future<Output = Answer> + Send>>),
}

impl Answering {
    fn now(answer: Answer) -> Self {
        Self::Now(Some(answer))
    }
}

impl Future for Answering {
    type Output = Result<Answer, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Now(answer) => answer.take().map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer))),
            Self::Later(answer) => answer.as_mut().poll(cx).map(Ok),
        }
    }
}

/// Serves what is read, not upgraded. The path is judged before the method, as the chat example does.
fn serve(context: &Arc<Context>, path: &str, method: &Method) -> Result<Answer, Refusal> {
    let answer = match path {
        "/health/live" => text(StatusCode::OK, "live\n"),
        "/health/ready" if context.stage() > Stage::Serving => text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
        "/health/ready" => text(StatusCode::OK, "ready\n"),
        "/metrics" => answer(StatusCode::OK, exposition::CONTENT_TYPE, exposition::page(&context.hub)),
        path => match pages::find(path) {
            Some(page) => {
                let mut answer = answer(StatusCode::OK, page.content_type, page.body);
                for (name, value) in pages::HEADERS {
                    insert(&mut answer, name, value);
                }
                answer
            }
            None => return Ok(text(StatusCode::NOT_FOUND, "Not found\n")),
        },
    };
    if [Method::GET, Method::HEAD].contains(method) { Ok(answer) } else { Err(Refusal::MethodNotAllowed) }
}

fn refuse(context: &Context, refusal: &Refusal) -> Answer {
    context.hub.metrics().refuse(refusal.reason());
    let mut answer = text(refusal.status(), refusal.to_string());
    insert(&mut answer, header::SEC_WEBSOCKET_VERSION, "13");
    insert(&mut answer, header::CONNECTION, "close");
    match refusal {
        Refusal::UpgradeRequired => {
            insert(&mut answer, header::UPGRADE, "websocket");
            insert(&mut answer, header::CONNECTION, "upgrade, close");
        }
        Refusal::MethodNotAllowed => insert(&mut answer, header::ALLOW, "GET"),
        // Long enough for others to leave, short enough for people to wait.
        Refusal::Full | Refusal::TooManyChannels | Refusal::Stopping => insert(&mut answer, header::RETRY_AFTER, "5"),
        Refusal::BadRequest(_) | Refusal::BadChannel(_) | Refusal::ForeignOrigin | Refusal::UriTooLong => {}
    }
    answer
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    answer(status, TEXT, body)
}

fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    insert(&mut answer, header::CONTENT_TYPE, content_type);
    answer
}

fn insert(answer: &mut Answer, name: HeaderName, value: &'static str) {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
}
