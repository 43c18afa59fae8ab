//! The upgrade: from an HTTP request to a session and its reader.

use super::handshake;
use crate::config::ChannelOptions;
use crate::engine::Engine;
use crate::http::error::RequestError;
use crate::http::host::HostRules;
use crate::http::response::HttpResponse;
use crate::hub::{MessageShape, Since, SlotReservation};
use crate::net::address::ClientAddress;
use crate::net::admission::Permit;
use crate::net::reader::Reader;
use crate::net::socket::{Socket, SocketSink};
use crate::operation::lifecycle::Stage;
use crate::operation::memory::Pressure;
use crate::operation::state::State;
use crate::protocol::{ChannelName, Encoding};
use crate::session::permission::{self, Action, ClientOfChannel, Who};
use crate::session::{OpenOptions, Protocol, Session};
use bytes::Bytes;
use http_body_util::Full;
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

/// An accepted handshake, until the response is sent and the socket can be taken over.
#[derive(Debug)]
pub(crate) struct PendingUpgrade {
    engine: Engine<SocketSink>,
    slot: SlotReservation,
    protocol: Protocol,
    channel: ChannelName,
    channel_options: Arc<ChannelOptions>,
    shape: MessageShape,
    since: Since,
    client: IpAddr,
    permit: Permit,
}

/// Checks a handshake, reserves a slot for the connection, and returns the 101.
///
/// The checks are in this order so that a malformed request is told what is wrong with it, also while the hub stops,
/// and so that only requests that could be accepted count for the limits of their address.
pub(crate) fn accept<B>(
    state: &State,
    request: &mut Request<B>,
    protocol: Protocol,
    client: Client,
) -> Result<(HttpResponse, PendingUpgrade), RequestError> {
    let State { engine, settings, .. } = state;
    let hub = engine.hub();
    let settings = settings.load();
    let hosts = HostRules { allowed: &settings.access.allowed_hosts, is_loopback: client.is_loopback };
    handshake::check(request, hosts, &settings.access.allowed_origins)?;
    let requested = handshake::channel(request.uri().query())?;
    let (subprotocol, shape, since) = match protocol {
        Protocol::Chat => {
            let (subprotocol, encoding) = handshake::subprotocol(request.headers());
            let query = request.uri().query();
            (subprotocol, handshake::shape(query, encoding)?, handshake::since(query, encoding)?)
        }
        Protocol::Echo => {
            (None, MessageShape { encoding: Encoding::Frames, ..MessageShape::default() }, Since::default())
        }
    };
    let channel_options = match protocol {
        Protocol::Chat => subscribable(state, &requested)?,
        Protocol::Echo => Arc::clone(hub.default_options()),
    };
    if state.lifecycle.stage() > Stage::NotReady {
        return Err(RequestError::Stopping);
    }
    if state.memory.pressure() > Pressure::Normal {
        return Err(RequestError::Memory);
    }
    let permit = state.admission.admit(client.addr, client.is_counted, &settings)?;
    let slot = hub.reserve_slot().ok_or(RequestError::Full)?;
    let channel = match protocol {
        Protocol::Chat => requested,
        Protocol::Echo => ChannelName::private("echo", slot.id()),
    };
    if !hub.directory().has_room_for(&channel) {
        return Err(RequestError::TooManyChannels);
    }
    if hub.directory().subscribers(&channel) >= channel_options.subscribers_max() {
        return Err(RequestError::ChannelFull);
    }
    // The future that fastwebsockets returns would pass the socket through a channel and an 8 KiB buffer. It is
    // dropped, and the server takes the bare socket from hyper.
    let (response, _) = fastwebsockets::upgrade::upgrade(request)
        .map_err(|_| RequestError::BadRequest("the handshake is malformed"))?;
    let mut response = response.map(|_| Full::default());
    if let Some(subprotocol) = subprotocol {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
    }
    let (engine, client) = (engine.clone(), client.addr.addr);
    Ok((response, PendingUpgrade { engine, slot, protocol, channel, channel_options, shape, since, client, permit }))
}

/// Returns the options of a channel that a client without a token may subscribe to.
fn subscribable(state: &State, channel: &ChannelName) -> Result<Arc<ChannelOptions>, RequestError> {
    let options = Arc::clone(state.namespaces.load().of(channel.as_str())?);
    let client = ClientOfChannel { who: Who::Anonymous, has_channel_token: false, is_subscribed: false };
    permission::check(client, Action::Subscribe, channel.as_str(), &options)?;
    Ok(options)
}

/// Takes the socket over from HTTP once the response is sent, together with the bytes that hyper read past the request.
pub(crate) async fn complete(socket: Socket, prefetched: Bytes, pending: PendingUpgrade) {
    let PendingUpgrade { engine, slot, protocol, channel, channel_options, shape, since, client, permit } = pending;
    tracing::debug!(%client, id = ?slot.id(), "connected");
    let mut prefetched = Vec::from(prefetched);
    // hyper's bytes come first: TLS decrypted the others after them.
    prefetched.extend(socket.prefetched());
    let socket = Arc::new(socket.with_client(client));
    let sink = SocketSink::new(Arc::clone(&socket));
    let options = OpenOptions { protocol, shape, since, is_rate_limited: permit.is_some(), channel: channel_options };
    match Session::open(engine, slot, sink, options, &channel).await {
        Ok(session) => Reader::start(socket, prefetched, session, permit),
        Err(full) => tracing::warn!("cannot open a session after the handshake: {full}"),
    }
}
