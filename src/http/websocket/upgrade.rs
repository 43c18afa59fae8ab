//! The upgrade: from an HTTP request to a session and its reader.

use super::handshake::Wanted;
use super::start::{ChatRequest, Start, StartRequest};
use super::{credentials, handshake};
use crate::auth::{Claims, TokenError};
use crate::engine::Engine;
use crate::http::error::RequestError;
use crate::http::hooks;
use crate::http::host::HostRules;
use crate::http::response::{HttpResponse, ResponseBody, set_header};
use crate::hub::SlotReservation;
use crate::net::address::ClientAddress;
use crate::net::admission::Permit;
use crate::net::reader::Reader;
use crate::net::socket::{Socket, SocketSink};
use crate::operation::lifecycle::Stage;
use crate::operation::memory::Pressure;
use crate::operation::state::State;
use crate::protocol::centrifuge::Format;
use crate::session::{Protocol, Session};
use bytes::Bytes;
use hyper::{Request, header};
use std::net::IpAddr;
use std::sync::Arc;

/// The client of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    /// Its address, as resolved from the headers of trusted proxies.
    pub(crate) addr: ClientAddress,
    /// It connected over loopback, and no trusted proxy forwarded it.
    pub(crate) is_loopback: bool,
    /// It was already counted against the rate of its address.
    pub(crate) is_counted: bool,
}

/// What speaks at a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Route {
    /// Messages of one channel.
    Channel(Protocol),
    /// Commands of the Centrifuge protocol.
    Centrifuge,
}

/// An accepted handshake, until the response is sent and the socket can be taken over.
#[derive(Debug)]
pub(crate) struct PendingUpgrade {
    engine: Engine<SocketSink>,
    slot: SlotReservation,
    start: Start,
    client: IpAddr,
    permit: Permit,
}

impl PendingUpgrade {
    /// Waits for what has to be there before the response: in a cluster, until the hub follows the channel, so that the
    /// client gets what is published as soon as it has the response.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn prepare(&self) {
        if let (Engine::Nats(nats), Start::Channel { name, .. }) = (&self.engine, &self.start)
            && !nats.is_followed(name)
        {
            // If it cannot be followed, the session is closed with that reason.
            nats.follow_channel(name).await.ok();
        }
    }
}

/// What a request asks for.
#[derive(Debug)]
enum Asked {
    Chat(ChatRequest),
    Echo,
    Centrifuge(Format),
}

/// Checks a handshake, reserves a slot for the connection, asks the application where it decides, and returns the 101.
/// A plain GET gets the answer that refuses a handshake for the same address, or 426 if none would.
///
/// The checks are in this order so that a malformed request is told what is wrong with it, also while the hub stops,
/// and so that only requests that could be accepted count for the limits of their address. The application is asked
/// last, about connections that have a place.
///
/// # Cancel safety
///
/// Dropping the future gives everything back.
pub(crate) async fn accept<B>(
    state: &Arc<State>,
    request: &mut Request<B>,
    route: Route,
    client: Client,
) -> Result<(HttpResponse, PendingUpgrade), RequestError> {
    let settings = state.settings.load_full();
    let hosts = HostRules { allowed: &settings.access.allowed_hosts, is_loopback: client.is_loopback };
    let wanted = handshake::check(request, hosts, &settings.access.allowed_origins)?;
    let (asked, subprotocol) = asked(request, route)?;
    // A client of the Centrifuge protocol says who it is with its first command.
    let has_token = route != Route::Centrifuge;
    let token = if has_token && state.tokens.are_used() { credentials::token(request)? } else { None };
    if state.lifecycle.stage() > Stage::NotReady {
        return Err(RequestError::Stopping);
    }
    if matches!(&state.engine, Engine::Nats(nats) if !nats.broker().is_verified) {
        return Err(RequestError::Cluster);
    }
    if state.memory.pressure() > Pressure::Normal {
        return Err(RequestError::Memory);
    }
    let address = state.admission.admit(client.addr, client.is_counted, &settings)?;
    // After the rates, because a signature is the most expensive step.
    let claims = token.map(|token| verify(state, token)).transpose()?;
    let slot = state.hub().reserve_slot().ok_or(RequestError::Full)?;
    let headers = hooks::passed_headers(request.headers(), &settings.hooks);
    let start = StartRequest { state, settings: &settings, id: slot.id(), is_rate_limited: address.is_some() };
    let (start, user) = match asked {
        Asked::Chat(asked) => start.chat(asked, claims, headers).await?,
        Asked::Echo => start.echo(claims, headers).await?,
        Asked::Centrifuge(format) => (start.centrifuge(format, headers), None),
    };
    if wanted == Wanted::Reason {
        return Err(RequestError::UpgradeRequired);
    }
    // The future that fastwebsockets returns would pass the socket through a channel and an 8 KiB buffer. It is
    // dropped, and the server takes the bare socket from hyper.
    let (response, _) = fastwebsockets::upgrade::upgrade(request)
        .map_err(|_| RequestError::BadRequest("the handshake is malformed"))?;
    let mut response = response.map(|_| ResponseBody::default());
    if let Some(subprotocol) = subprotocol {
        set_header(&mut response, header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
    }
    let (engine, client, permit) = (state.engine.clone(), client.addr.addr, Permit::new(address, user));
    Ok((response, PendingUpgrade { engine, slot, start, client, permit }))
}

/// Returns what a request asks for, and the subprotocol to choose.
fn asked<B>(request: &Request<B>, route: Route) -> Result<(Asked, Option<&'static str>), RequestError> {
    let query = request.uri().query();
    let protocol = match route {
        Route::Channel(protocol) => protocol,
        Route::Centrifuge => {
            let (subprotocol, format) = credentials::centrifuge_format(request);
            return Ok((Asked::Centrifuge(format), subprotocol));
        }
    };
    let channel = handshake::channel(query)?;
    let (subprotocol, encoding) = credentials::subprotocol(request.headers())?;
    let asked = match protocol {
        Protocol::Chat => {
            let (shape, since) = (handshake::shape(query, encoding)?, handshake::since(query, encoding)?);
            Asked::Chat(ChatRequest { channel, shape, since })
        }
        Protocol::Echo => Asked::Echo,
    };
    Ok((asked, subprotocol))
}

/// Verifies the token of a request.
fn verify(state: &State, token: &str) -> Result<Claims, RequestError> {
    match state.tokens.verify(token) {
        Err(TokenError::UnknownKey) if state.tokens.request_fetch() => Err(RequestError::TokenKeysPending),
        verified => Ok(verified?),
    }
}

/// Takes the socket over from HTTP once the response is sent, together with the bytes that hyper read past the request.
pub(crate) async fn complete(socket: Socket, prefetched: Bytes, pending: PendingUpgrade) {
    let PendingUpgrade { engine, slot, start, client, permit } = pending;
    tracing::debug!(%client, id = ?slot.id(), "connected");
    let mut prefetched = Vec::from(prefetched);
    // hyper's bytes come first: TLS decrypted the others after them.
    prefetched.extend(socket.prefetched());
    let socket = Arc::new(socket.with_client(client));
    let sink = SocketSink::new(Arc::clone(&socket));
    let session = match start {
        Start::Channel { name, options } => Session::open(engine, slot, sink, options, &name).await,
        Start::Centrifuge { options, state } => Ok(Session::open_centrifuge(engine, slot, sink, options, state).await),
    };
    match session {
        Ok(session) => Reader::start(socket, prefetched, session, permit),
        Err(refusal) => tracing::warn!("cannot open a session after the handshake: {refusal}"),
    }
}
