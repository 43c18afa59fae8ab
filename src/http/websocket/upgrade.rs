//! The upgrade: from an HTTP request to a session and its reader.

use super::handshake::Wanted;
use super::{credentials, handshake};
use crate::auth::{Claims, TokenError, UserId};
use crate::config::{ChannelOptions, Config, HookName};
use crate::engine::Engine;
use crate::http::error::RequestError;
use crate::http::hooks;
use crate::http::host::HostRules;
use crate::http::response::{HttpResponse, ResponseBody, set_header};
use crate::hub::{ConnectionId, Hub, MessageShape, Since, SlotReservation};
use crate::net::address::ClientAddress;
use crate::net::admission::Permit;
use crate::net::reader::Reader;
use crate::net::socket::{Socket, SocketSink};
use crate::operation::lifecycle::Stage;
use crate::operation::memory::Pressure;
use crate::operation::state::State;
use crate::protocol::centrifuge::Format;
use crate::protocol::{ChannelName, Encoding, Profile};
use crate::session::permission::{self, Action, ClientOfChannel, Who};
use crate::session::users::{Identity, UserPermit};
use crate::session::{CentrifugeOptions, OpenOptions, Protocol, Session};
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
    /// Returns what has to be waited for before the response: in a cluster, until the hub follows the channel, so that
    /// the client gets what is published as soon as it has the response. `None` if there is nothing.
    pub(crate) fn preparation(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        let (Engine::Nats(nats), Start::Channel { name, .. }) = (&self.engine, &self.start) else { return None };
        if nats.is_followed(name) {
            return None;
        }
        let (nats, name) = (Arc::clone(nats), name.clone());
        Some(async move {
            // If it cannot be followed, the session is closed with that reason.
            nats.follow_channel(&name).await.ok();
        })
    }
}

/// How the session begins.
#[derive(Debug)]
enum Start {
    Channel { name: ChannelName, options: OpenOptions },
    Centrifuge { options: CentrifugeOptions, state: Arc<State> },
}

/// What a request asks for.
#[derive(Debug)]
enum Asked {
    Chat { channel: Option<ChannelName>, shape: MessageShape, since: Since },
    Echo,
    Centrifuge { format: Format, headers: Vec<(String, Bytes)> },
}

/// Checks a handshake, reserves a slot for the connection, and returns the 101. A plain GET gets the answer that
/// refuses a handshake for the same address, or 426 if none would.
///
/// The checks are in this order so that a malformed request is told what is wrong with it, also while the hub stops,
/// and so that only requests that could be accepted count for the limits of their address.
pub(crate) fn accept<B>(
    state: &Arc<State>,
    request: &mut Request<B>,
    route: Route,
    client: Client,
) -> Result<(HttpResponse, PendingUpgrade), RequestError> {
    let settings = state.settings.load();
    let hosts = HostRules { allowed: &settings.access.allowed_hosts, is_loopback: client.is_loopback };
    let wanted = handshake::check(request, hosts, &settings.access.allowed_origins)?;
    let (asked, subprotocol) = asked(request, route, &settings)?;
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
    let is_required = settings.tokens.token_required || settings.has_hook(HookName::Connect);
    let claims = verify(state, token, has_token && is_required)?;
    let slot = state.hub().reserve_slot().ok_or(RequestError::Full)?;
    let user = claims.as_ref().map(|claims| admit_user(state, claims, slot.id())).transpose()?;
    let start = start(state, asked, slot.id(), claims.as_ref(), address.is_some())?;
    if let Start::Channel { name, options } = &start {
        check_room(state.hub(), name, &options.channel)?;
    }
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
fn asked<B>(
    request: &Request<B>,
    route: Route,
    settings: &Config,
) -> Result<(Asked, Option<&'static str>), RequestError> {
    let query = request.uri().query();
    let protocol = match route {
        Route::Channel(protocol) => protocol,
        Route::Centrifuge => {
            let (subprotocol, format) = credentials::centrifuge_format(request);
            let headers = hooks::passed_headers(request.headers(), &settings.hooks);
            return Ok((Asked::Centrifuge { format, headers }, subprotocol));
        }
    };
    let channel = handshake::channel(query)?;
    let (subprotocol, encoding) = credentials::subprotocol(request.headers())?;
    let asked = match protocol {
        Protocol::Chat => {
            let (shape, since) = (handshake::shape(query, encoding)?, handshake::since(query, encoding)?);
            Asked::Chat { channel, shape, since }
        }
        Protocol::Echo => Asked::Echo,
    };
    Ok((asked, subprotocol))
}

/// Returns how the session of an admitted client begins.
fn start(
    state: &Arc<State>,
    asked: Asked,
    id: ConnectionId,
    claims: Option<&Claims>,
    is_rate_limited: bool,
) -> Result<Start, RequestError> {
    match asked {
        Asked::Chat { channel, shape, since } => {
            let name = channel.map_or_else(|| handshake::default_channel(claims), Ok)?;
            let options = permitted(state, &name, claims, OpenRequest { shape, since, is_rate_limited })?;
            Ok(Start::Channel { name, options })
        }
        Asked::Echo => {
            let options = OpenOptions {
                protocol: Protocol::Echo,
                shape: MessageShape { encoding: Encoding::Frames, ..MessageShape::default() },
                since: Since::default(),
                is_rate_limited,
                channel: Arc::clone(state.hub().default_options()),
                info: None,
                publish_bytes_max: None,
            };
            Ok(Start::Channel { name: ChannelName::private("echo", id), options })
        }
        Asked::Centrifuge { format, headers } => {
            let options = CentrifugeOptions { format, is_rate_limited, headers };
            Ok(Start::Centrifuge { options, state: Arc::clone(state) })
        }
    }
}

/// What a client of the chat protocol asks for.
#[derive(Clone, Copy, Debug)]
struct OpenRequest {
    shape: MessageShape,
    since: Since,
    is_rate_limited: bool,
}

/// Returns what of it the client gets in a channel to which it may subscribe. Without the permission to read the
/// history it gets no lines of it; what it missed since a position it gets in any case.
fn permitted(
    state: &State,
    channel: &ChannelName,
    claims: Option<&Claims>,
    request: OpenRequest,
) -> Result<OpenOptions, RequestError> {
    let options = Arc::clone(state.namespaces.load().of(channel.as_str())?);
    let user = claims.and_then(|claims| claims.user.as_ref());
    let who = user.map_or(Who::Anonymous, |user| Who::Authenticated { user: user.as_str() });
    let has_channel_token = claims.is_some_and(|claims| claims.channels.iter().any(|one| one == channel.as_str()));
    let client = ClientOfChannel { who, has_channel_token, is_subscribed: false };
    permission::check(client, Action::Subscribe, channel.as_str(), &options)?;
    let subscribed = ClientOfChannel { is_subscribed: true, ..client };
    let may = |action| permission::check(subscribed, action, channel.as_str(), &options).is_ok();
    let since = if may(Action::History) { request.since } else { request.since.without_newest() };
    let publish_bytes_max =
        may(Action::Publish).then(|| u32::try_from(options.publish_bytes_max()).unwrap_or(u32::MAX));
    let OpenRequest { shape, is_rate_limited, .. } = request;
    // Where nobody can ask for it, nobody keeps it.
    let info = claims.filter(|_| options.options.presence).and_then(|claims| client_info(claims, channel.as_str()));
    let protocol = Protocol::Chat;
    Ok(OpenOptions { protocol, shape, since, is_rate_limited, channel: options, info, publish_bytes_max })
}

/// Returns what the claims of a client let others in a channel know of it.
fn client_info(claims: &Claims, channel: &str) -> Option<Arc<Profile>> {
    let user = claims.user.as_ref().map(UserId::shared);
    let info = Profile { user, conn_info: claims.info.clone(), chan_info: claims.channel_info(channel) };
    (info != Profile::ANONYMOUS).then(|| Arc::new(info))
}

/// Checks that there is room for one more subscriber. Only a hint: others may be faster.
fn check_room(hub: &Hub<SocketSink>, channel: &ChannelName, options: &ChannelOptions) -> Result<(), RequestError> {
    if !hub.directory().has_room_for(channel) {
        return Err(RequestError::TooManyChannels);
    }
    if hub.directory().subscribers(channel) >= options.subscribers_max() {
        return Err(RequestError::ChannelFull);
    }
    Ok(())
}

/// Verifies the token of a request; `None` for an anonymous client without one.
fn verify(state: &State, token: Option<&str>, is_required: bool) -> Result<Option<Claims>, RequestError> {
    let Some(token) = token else {
        return if is_required { Err(RequestError::TokenMissing) } else { Ok(None) };
    };
    match state.tokens.verify(token) {
        Err(TokenError::UnknownKey) if state.tokens.request_fetch() => Err(RequestError::TokenKeysPending),
        verified => Ok(Some(verified?)),
    }
}

/// Counts the connection for the user that the token names.
fn admit_user(state: &State, claims: &Claims, id: ConnectionId) -> Result<UserPermit, RequestError> {
    let identity = Identity { user: claims.user.clone(), expires_at: claims.connection_expires };
    let connections_max = state.settings.load().tokens.connections_per_user_max;
    state.users.admit(id, identity, connections_max).ok_or(RequestError::UserConnections)
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
