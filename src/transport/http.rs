//! The HTTP face: which path is answered by what.

use super::admin;
use super::admission::{Admission, Handshakes};
use super::client;
use super::exposition;
use super::handshake::{self, Refusal};
use super::lifecycle::{Lifecycle, Stage};
use super::memory::{self, Memory};
use super::metrics_format::Format;
use super::pages;
use super::serve::Door;
use super::socket::SocketSink;
use super::tls::Certificates;
use super::trace;
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
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Once};
use std::task;

pub(super) type Answer = Response<Full<Bytes>>;

const TEXT: &str = "text/plain; charset=utf-8";

const METRICS_ELSEWHERE: &str = "Forbidden: metrics are for this very machine, or for who has a key where \
    --internal-addr leads\n";

/// What every request may need.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) hub: Hub<SocketSink>,
    /// What the operator decided; a reload replaces it.
    pub(super) settings: ArcSwap<Config>,
    pub(super) lifecycle: Arc<Lifecycle>,
    pub(super) keys: admin::Keys,
    pub(super) handshakes: Arc<Handshakes>,
    pub(super) admission: Arc<Admission>,
    pub(super) memory: Memory,
    /// What encrypted addresses show; `None` when there are none.
    pub(super) certificates: Option<Certificates>,
}

/// What answers the requests of one HTTP connection, and keeps what the last of them may have settled.
#[derive(Debug)]
pub(super) struct Desk {
    context: Arc<Context>,
    door: Arc<Door>,
    /// Who is on the other side of the socket: a client, or a balancer.
    peer: IpAddr,
    /// It was counted for coming already.
    has_knocked: bool,
    agreed: RefCell<Option<Agreed>>,
}

impl Desk {
    pub(super) fn new(context: Arc<Context>, door: Arc<Door>, (peer, has_knocked): (IpAddr, bool)) -> Self {
        Self { context, door, peer, has_knocked, agreed: RefCell::new(None) }
    }

    /// Returns what a request has settled that was answered with 101.
    pub(super) fn agreed(self) -> Option<Agreed> {
        self.agreed.into_inner()
    }

    fn respond(&self, request: Request<Incoming>) -> Answering {
        let is_operators = self.door.is_internal || self.context.settings.load().internal_addr.is_none();
        let answer = match request.uri().path() {
            path if path.starts_with("/admin/") && is_operators => {
                return trace::follow(&request, || admin::respond(&self.context, &request));
            }
            "/metrics" if is_operators => self.metrics(&request),
            path if path.starts_with("/health/") => health(&self.context, path, request.method()),
            _ if self.door.is_internal => Ok(text(StatusCode::NOT_FOUND, "Not found: clients go to --addr\n")),
            "/ws" => self.upgrade(request, Face::Plain),
            "/echo" if self.context.settings.load().echo => self.upgrade(request, Face::Echo),
            path => serve(path, request.method()),
        };
        Answering::at_once(answer.unwrap_or_else(|refusal| refuse(&self.context, &refusal)))
    }

    /// Serves what the hub counts: at the internal address to everybody who may ask there, else to this machine.
    fn metrics(&self, request: &Request<Incoming>) -> Result<Answer, Refusal> {
        let settings = self.context.settings.load();
        let may_ask = match &settings.internal_addr {
            Some(addr) => addr.is_local() || admin::has_key(&self.context, request.headers()),
            None => self.peer.is_loopback() && !is_forwarded(request.headers()),
        };
        if !may_ask {
            return Ok(text(StatusCode::FORBIDDEN, METRICS_ELSEWHERE));
        }
        let format = Format::negotiate(request.headers());
        let mut page = answer(StatusCode::OK, format.content_type(), exposition::page(&self.context, format));
        insert(&mut page, header::VARY, "accept");
        only_read(page, request.method())
    }

    /// Returns the address of the client behind the request.
    fn client(&self, headers: &HeaderMap) -> IpAddr {
        let settings = self.context.settings.load();
        let trusted = &settings.access.trusted_proxies;
        if self.peer.is_loopback() && is_forwarded(headers) && !client::is_in(trusted, self.peer) {
            self.warn_of_proxy();
        }
        client::address(self.peer, headers, trusted)
    }

    /// Says once that everybody who comes through a proxy on this machine counts as this machine, and so is exempt from
    /// what protects the hub: the one mistake that nobody would notice before the first attack.
    fn warn_of_proxy(&self) {
        static SAID: Once = Once::new();
        SAID.call_once(|| {
            tracing::warn!(
                "a proxy at {0} speaks for its clients and is not believed; name it with --trusted-proxies {0}, or all \
                 of them count as {0}",
                self.peer
            );
        });
    }

    /// Checks a handshake, takes a place for the connection, and switches protocols.
    fn upgrade(&self, mut request: Request<Incoming>, face: Face) -> Result<Answer, Refusal> {
        let Context { hub, settings, .. } = &*self.context;
        let settings = settings.load();
        handshake::check(&request, &settings.access.allowed_origins)?;
        let named = handshake::channel(request.uri().query())?;
        if self.context.lifecycle.stage() > Stage::Leaving {
            return Err(Refusal::Stopping);
        }
        if self.context.memory.stage() > memory::Stage::Calm {
            return Err(Refusal::Memory);
        }
        let client = self.client(request.headers());
        let leave = self.context.admission.admit(client, self.has_knocked, &settings)?;
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
        self.agreed.replace(Some(Agreed { hub: hub.clone(), seat, face, channel, client, leave }));
        Ok(response.map(|_| Full::default()))
    }
}

impl Service<Request<Incoming>> for Desk {
    type Response = Answer;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.respond(request)
    }
}

/// An answer that is there, or that somebody has to be asked for.
pub(super) enum Answering {
    Here(Option<Answer>),
    /// Boxed: rare, and the task of a handshake is not to be larger for it.
    Asked(Pin<Box<dyn Future<Output = Answer> + Send>>),
}

impl Answering {
    pub(super) fn at_once(answer: Answer) -> Self {
        Self::Here(Some(answer))
    }
}

impl Future for Answering {
    type Output = Result<Answer, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> task::Poll<Self::Output> {
        match &mut *self {
            // Nobody polls behind the end.
            Self::Here(answer) => answer.take().map_or(task::Poll::Pending, |answer| task::Poll::Ready(Ok(answer))),
            Self::Asked(answer) => answer.as_mut().poll(cx).map(Ok),
        }
    }
}

/// Tells balancers and supervisors how the hub is, in a word.
fn health(context: &Context, path: &str, method: &Method) -> Result<Answer, Refusal> {
    let (status, word) = match path {
        "/health/live" => (StatusCode::OK, "live\n"),
        "/health/ready" => readiness(context),
        _ => (StatusCode::NOT_FOUND, "Not found: there is /health/live and /health/ready\n"),
    };
    only_read(text(status, word), method)
}

fn readiness(context: &Context) -> (StatusCode, &'static str) {
    match context.lifecycle.stage() {
        Stage::Serving if context.hub.placement().is_full() => (StatusCode::SERVICE_UNAVAILABLE, "full\n"),
        Stage::Serving if context.memory.stage() > memory::Stage::Calm => {
            (StatusCode::SERVICE_UNAVAILABLE, "out of memory\n")
        }
        Stage::Serving => (StatusCode::OK, "ready\n"),
        Stage::Leaving | Stage::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        Stage::Ending => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
    }
}

/// Returns whether a proxy on this machine speaks for somebody else.
fn is_forwarded(headers: &HeaderMap) -> bool {
    ["forwarded", "x-forwarded-for", "x-real-ip", "via"].iter().any(|name| headers.contains_key(*name))
}

/// Serves a page. The path is judged before the method, as the chat example does.
fn serve(path: &str, method: &Method) -> Result<Answer, Refusal> {
    let Some(page) = pages::find(path) else { return Ok(text(StatusCode::NOT_FOUND, "Not found\n")) };
    let mut answer = answer(StatusCode::OK, page.content_type, page.body);
    for (name, value) in pages::HEADERS {
        insert(&mut answer, name, value);
    }
    only_read(answer, method)
}

fn only_read(answer: Answer, method: &Method) -> Result<Answer, Refusal> {
    if [Method::GET, Method::HEAD].contains(method) { Ok(answer) } else { Err(Refusal::MethodNotAllowed) }
}

fn refuse(context: &Context, refusal: &Refusal) -> Answer {
    context.hub.metrics().refuse(refusal.reason());
    let mut answer = text(refusal.status(), refusal.to_string());
    insert(&mut answer, header::SEC_WEBSOCKET_VERSION, "13");
    insert(&mut answer, header::CONNECTION, "close");
    if let Some(seconds) = refusal.retry_after() {
        answer.headers_mut().insert(header::RETRY_AFTER, jittered(seconds).into());
    }
    match refusal {
        Refusal::UpgradeRequired => {
            insert(&mut answer, header::UPGRADE, "websocket");
            insert(&mut answer, header::CONNECTION, "upgrade, close");
        }
        Refusal::MethodNotAllowed => insert(&mut answer, header::ALLOW, "GET"),
        _ => {}
    }
    answer
}

/// Spreads those who are told to come back over as much time again: a crowd that was refused together must not return
/// together.
fn jittered(seconds: u64) -> u64 {
    // Keyed at random with each state; nobody has to be able to guess it.
    seconds + RandomState::new().hash_one(()) % (seconds + 1)
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    answer(status, TEXT, body)
}

pub(super) fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    insert(&mut answer, header::CONTENT_TYPE, content_type);
    answer
}

fn insert(answer: &mut Answer, name: HeaderName, value: &'static str) {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
}
