//! The HTTP service of one connection: routes each request to what answers it.

use super::client_address::{self, is_forwarded};
use super::error::RequestError;
use super::response::{HttpResponse, ResponseFuture, text};
use super::websocket::upgrade::{self, Client, PendingUpgrade};
use super::{admin, health, metrics, pages, trace};
use crate::net::address::{ClientAddress, is_in};
use crate::net::endpoint::Endpoint;
use crate::operation::state::State;
use crate::session::Protocol;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{HeaderMap, Request, StatusCode};
use std::cell::RefCell;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Once};

/// The other end of the socket: a client, or a proxy in front of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) addr: ClientAddress,
    /// The connection was already counted against the rate of its address, before its TLS handshake.
    pub(crate) is_counted: bool,
}

/// Responds to the requests of one HTTP connection.
#[derive(Debug)]
pub(crate) struct HttpService {
    state: Arc<State>,
    endpoint: Arc<Endpoint>,
    peer: Peer,
    /// Set by the request that is answered with 101. hyper owns the service until the connection ends, so the result of
    /// a request is passed out of it through this cell.
    pending_upgrade: RefCell<Option<PendingUpgrade>>,
}

impl HttpService {
    pub(crate) fn new(state: Arc<State>, endpoint: Arc<Endpoint>, peer: Peer) -> Self {
        Self { state, endpoint, peer, pending_upgrade: RefCell::new(None) }
    }

    /// Returns the upgrade if a request was answered with 101.
    pub(crate) fn into_pending_upgrade(self) -> Option<PendingUpgrade> {
        self.pending_upgrade.into_inner()
    }

    fn respond(&self, request: Request<Incoming>) -> ResponseFuture {
        let is_for_operators = self.endpoint.is_internal || self.state.settings.load().internal_addr.is_none();
        let response = match request.uri().path() {
            path if path.starts_with("/admin/") && is_for_operators => {
                return trace::in_span(&request, || admin::respond(&self.state, &request));
            }
            "/metrics" if is_for_operators => self.metrics(&request),
            path if path.starts_with("/health/") => health::respond(&self.state, path, request.method()),
            _ if self.endpoint.is_internal => Ok(text(StatusCode::NOT_FOUND, "Not found: clients connect to --addr\n")),
            "/ws" => self.upgrade(request, Protocol::Chat),
            "/echo" if self.state.settings.load().echo => self.upgrade(request, Protocol::Echo),
            path => pages::respond(path, request.method()),
        };
        ResponseFuture::ready(response.unwrap_or_else(|error| error.respond(self.state.hub.metrics())))
    }

    /// Serves the metrics page: on the internal address to local peers and to requests with a key, otherwise to this
    /// machine only.
    fn metrics(&self, request: &Request<Incoming>) -> Result<HttpResponse, RequestError> {
        let settings = self.state.settings.load();
        let is_allowed = match &settings.internal_addr {
            Some(addr) => addr.is_local() || admin::has_key(&self.state, request.headers()),
            None => self.peer.addr.is_loopback() && !is_forwarded(request.headers()),
        };
        if is_allowed { metrics::respond(&self.state, request) } else { Ok(metrics::forbidden()) }
    }

    /// Accepts a WebSocket, keeps what it needs after the response, and returns the 101.
    fn upgrade(&self, mut request: Request<Incoming>, protocol: Protocol) -> Result<HttpResponse, RequestError> {
        let client = Client { addr: self.client_address(request.headers()), is_counted: self.peer.is_counted };
        let (response, pending) = upgrade::accept(&self.state, &mut request, protocol, client)?;
        self.pending_upgrade.replace(Some(pending));
        Ok(response)
    }

    /// Returns the address of the client behind the request.
    fn client_address(&self, headers: &HeaderMap) -> ClientAddress {
        let settings = self.state.settings.load();
        let (access, peer) = (&settings.access, self.peer.addr);
        if peer.is_loopback() && is_forwarded(headers) && !is_in(&access.trusted_proxies, peer.addr) {
            warn_of_untrusted_proxy(peer.addr);
        }
        client_address::resolve(peer, headers, access)
    }
}

/// Warns, once, that the clients of a proxy on this machine have the address of this machine, and so are exempt from
/// the limits per address. Without the warning the first attack would reveal it.
fn warn_of_untrusted_proxy(peer: IpAddr) {
    static WARNED: Once = Once::new();
    WARNED.call_once(|| {
        tracing::warn!(
            "a proxy at {peer} forwards requests but is not trusted, so all its clients count as {peer}; \
             trust it with --trusted-proxies {peer}"
        );
    });
}

impl Service<Request<Incoming>> for HttpService {
    type Response = HttpResponse;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.respond(request)
    }
}
