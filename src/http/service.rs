//! The HTTP service of one connection: routes each request to what answers it.

use super::client_address::{self, is_forwarded};
use super::error::RequestError;
use super::host::{self, HostRules};
use super::progress::Progress;
use super::response::{HttpResponse, ResponseFuture, set_header, text};
use super::websocket::handshake;
use super::websocket::upgrade::{self, Client, PendingUpgrade, Route};
use super::{admin, api, health, methods, metrics, pages, trace};
use crate::config::{HostPort, MetricsAccess};
use crate::net::address::{ClientAddress, is_in};
use crate::net::endpoint::Endpoint;
use crate::operation::operator_key::KeyStatus;
use crate::operation::state::State;
use crate::session::Protocol;
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use hyper::{HeaderMap, Method, Request, StatusCode, header};
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
    progress: Arc<Progress>,
    /// Set by the request that is answered with 101. hyper owns the service until the connection ends, so the result of
    /// a request is passed out of it through this cell.
    pending_upgrade: RefCell<Option<PendingUpgrade>>,
}

impl HttpService {
    pub(crate) fn new(state: Arc<State>, endpoint: Arc<Endpoint>, peer: Peer, progress: Arc<Progress>) -> Self {
        Self { state, endpoint, peer, progress, pending_upgrade: RefCell::new(None) }
    }

    /// Returns the upgrade if a request was answered with 101.
    pub(crate) fn into_pending_upgrade(self) -> Option<PendingUpgrade> {
        self.pending_upgrade.into_inner()
    }

    fn respond(&self, request: Request<Incoming>) -> ResponseFuture {
        let is_for_operators = self.endpoint.is_internal || self.state.settings.load().internal_addr.is_none();
        let route = match request.uri().path() {
            _ if self.endpoint.is_internal => None,
            "/ws" => Some(Route::Channel(Protocol::Chat)),
            "/connection/websocket" => Some(Route::Centrifuge),
            "/echo" if self.state.settings.load().echo => Some(Route::Channel(Protocol::Echo)),
            _ => None,
        };
        if let Some(route) = route {
            return self.upgrade(request, route).unwrap_or_else(|error| {
                let mut response = error.respond(&self.state, self.peer.addr.addr);
                set_header(&mut response, header::SEC_WEBSOCKET_VERSION, "13");
                ResponseFuture::ready(response)
            });
        }
        let host = match self.check_host(&request) {
            Ok(host) => host,
            Err(error) => return ResponseFuture::ready(error.respond(&self.state, self.peer.addr.addr)),
        };
        let response = match request.uri().path() {
            path if path.starts_with("/api/") => {
                return api::respond(&self.state, self.peer.addr.addr, &self.progress, request);
            }
            path if path.starts_with("/admin/") && is_for_operators => {
                return trace::in_span(&request, || admin::respond(&self.state, self.peer.addr.addr, &request));
            }
            // `OPTIONS *` asks about the server as a whole, RFC 9110 section 9.3.7.
            "*" if request.method() == Method::OPTIONS => Ok(methods::options(methods::READ)),
            "/metrics" if is_for_operators => self.metrics(&request, host.as_ref()),
            path if path.starts_with("/health/") => health::respond(&self.state, path, request.method()),
            _ if self.endpoint.is_internal => Ok(text(StatusCode::NOT_FOUND, "Not found: clients connect to --addr\n")),
            _ => pages::respond(&request, host.as_ref()),
        };
        ResponseFuture::ready(response.unwrap_or_else(|error| error.respond(&self.state, self.peer.addr.addr)))
    }

    /// Returns the host that a request is for. Balancers may check health under any name.
    fn check_host(&self, request: &Request<Incoming>) -> Result<Option<HostPort>, RequestError> {
        let host = host::requested(request)?;
        if !request.uri().path().starts_with("/health/") {
            let settings = self.state.settings.load();
            let is_loopback = self.is_loopback(request.headers());
            HostRules { allowed: &settings.access.allowed_hosts, is_loopback }.check(host.as_ref())?;
        }
        Ok(host)
    }

    /// Returns whether a request came over loopback without a trusted proxy: a browser on this machine may have sent it
    /// for a page whose name was pointed here. A browser cannot send what a trusted proxy adds.
    fn is_loopback(&self, headers: &HeaderMap) -> bool {
        let is_direct = self.peer.addr.is_loopback() && !self.endpoint.has_proxy_protocol && !self.endpoint.is_unix;
        let settings = self.state.settings.load();
        is_direct && !(is_forwarded(headers) && is_in(&settings.access.trusted_proxies, self.peer.addr.addr))
    }

    /// Serves the metrics page: to requests with a key, to everyone if the operator says so, and at an internal address
    /// that only this machine can reach. Nothing is concluded from headers that are absent: proxies may add none.
    fn metrics(&self, request: &Request<Incoming>, host: Option<&HostPort>) -> Result<HttpResponse, RequestError> {
        let settings = self.state.settings.load();
        let is_public = settings.access.metrics == MetricsAccess::Public && !self.endpoint.is_internal;
        // A page in a browser on this machine reaches that address as well, under a name of its own.
        let is_own = || {
            let rules = HostRules { allowed: &settings.access.allowed_hosts, is_loopback: true };
            self.endpoint.is_unix || host.is_none_or(|host| rules.is_own(host))
        };
        if is_public || self.endpoint.is_internal && self.endpoint.is_local && is_own() {
            return metrics::respond(&self.state, request);
        }
        match admin::check_key_of(&self.state, self.peer.addr.addr, request.headers()) {
            KeyStatus::Right => metrics::respond(&self.state, request),
            status => Ok(metrics::unauthorized(status)),
        }
    }

    /// Accepts a WebSocket, keeps what it needs after the response, and returns the 101.
    fn upgrade(&self, mut request: Request<Incoming>, route: Route) -> Result<ResponseFuture, RequestError> {
        if request.method() == Method::OPTIONS {
            self.check_host(&request)?;
            return Ok(ResponseFuture::ready(methods::options(handshake::METHODS)));
        }
        let is_loopback = self.is_loopback(request.headers());
        let addr = self.client_address(request.headers());
        let client = Client { addr, is_loopback, is_counted: self.peer.is_counted };
        let (response, pending) = upgrade::accept(&self.state, &mut request, route, client)?;
        let preparation = pending.preparation();
        self.pending_upgrade.replace(Some(pending));
        Ok(match preparation {
            Some(preparation) => ResponseFuture::boxed(async move {
                preparation.await;
                response
            }),
            None => ResponseFuture::ready(response),
        })
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
        self.progress.begin_response(!request.body().is_end_stream());
        match self.respond(request) {
            ResponseFuture::Boxed(response) => {
                let progress = Arc::clone(&self.progress);
                ResponseFuture::boxed(async move {
                    let response = response.await;
                    progress.end_response();
                    response
                })
            }
            ResponseFuture::Ready(response) => {
                // A body that is made while it is sent tells its end itself.
                if !response.as_ref().is_some_and(|response| response.body().is_stream()) {
                    self.progress.end_response();
                }
                ResponseFuture::Ready(response)
            }
        }
    }
}
