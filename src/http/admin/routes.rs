//! The routes of the operators' API: checks the key, then the path and the method.

use super::error::{ApiError, json_response};
use super::query::Query;
use super::{channels, cluster, connections, disconnect, drain};
use crate::http::methods;
use crate::http::response::{HttpResponse, ResponseFuture};
use crate::operation::operator_key::KeyStatus;
use crate::operation::state::State;
use hyper::header::{self, HeaderMap};
use hyper::{Method, Request, StatusCode};
use serde_json::Value;
use std::net::IpAddr;
use std::sync::Arc;

/// Every path.
const PATHS: [&str; 6] =
    ["/admin/drain", "/admin/shed", "/admin/connections", "/admin/channels", "/admin/disconnect", "/admin/cluster"];

/// The value of `Allow` for what begins with POST and is cancelled with DELETE.
const READ_BEGIN_CANCEL: &str = "GET, HEAD, POST, DELETE, OPTIONS";

/// The value of `Allow` for what is done at once.
const BEGIN: &str = "POST, OPTIONS";

/// Responds to a request below `/admin/`.
pub(in crate::http) fn respond<B>(state: &Arc<State>, peer: IpAddr, request: &Request<B>) -> ResponseFuture {
    match check_key(state, peer, request.headers()).and_then(|()| route(state, request)) {
        Ok(response) => response,
        Err(error) => ResponseFuture::ready(error.respond()),
    }
}

/// Returns whether a request has one of the operator's keys. A request without a key is no guess and does not count as
/// one. A wrong key is logged: an operator made a mistake, or a client guesses.
pub(in crate::http) fn check_key_of(state: &State, peer: IpAddr, headers: &HeaderMap) -> KeyStatus {
    let key = key_of(headers);
    if key.is_empty() {
        let has_keys = !state.settings.load().access.admin_keys.is_empty();
        return if has_keys { KeyStatus::Wrong } else { KeyStatus::NoKeys };
    }
    let status = state.keys.check(key, &state.settings.load().access.admin_keys);
    if matches!(status, KeyStatus::Wrong | KeyStatus::TooMany) {
        tracing::warn!(%peer, "a request has a key that is not one of --admin-keys");
    }
    status
}

fn check_key(state: &State, peer: IpAddr, headers: &HeaderMap) -> Result<(), ApiError> {
    match check_key_of(state, peer, headers) {
        KeyStatus::Right => Ok(()),
        KeyStatus::NoKeys => Err(ApiError::new(StatusCode::NOT_FOUND, "/admin is served only with --admin-keys")),
        KeyStatus::Wrong => Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "a key is required: one of --admin-keys, as X-API-Key: KEY or Authorization: Bearer KEY",
        )),
        KeyStatus::TooMany => {
            Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too many wrong keys; try again in a second"))
        }
    }
}

/// Returns the key of a request; empty if there is none.
fn key_of(headers: &HeaderMap) -> &[u8] {
    let bearer = || headers.get_all(header::AUTHORIZATION).into_iter().find_map(|line| bearer(line.as_bytes()));
    headers.get("x-api-key").map(|key| key.as_bytes()).or_else(bearer).unwrap_or_default()
}

/// Returns the token of credentials of the scheme `Bearer`, whose name has no case (RFC 9110 section 11.1).
pub(in crate::http) fn bearer(credentials: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = credentials.split_at_checked("Bearer".len())?;
    let is_bearer = scheme.eq_ignore_ascii_case(b"Bearer") && token.starts_with(b" ");
    is_bearer.then(|| token.trim_ascii())
}

fn route<B>(state: &Arc<State>, request: &Request<B>) -> Result<ResponseFuture, ApiError> {
    let query = Query(request.uri().query().unwrap_or_default());
    let path = request.uri().path();
    let allowed = match path {
        "/admin/connections" | "/admin/channels" | "/admin/cluster" => methods::READ,
        "/admin/disconnect" => BEGIN,
        _ => READ_BEGIN_CANCEL,
    };
    // hyper leaves the body of a response to HEAD out.
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    let value = match (path, method) {
        (path, &Method::OPTIONS) if PATHS.contains(&path) => {
            return Ok(ResponseFuture::ready(methods::options(allowed)));
        }
        ("/admin/disconnect", &Method::POST) => return disconnect::disconnect(state, &query),
        ("/admin/connections", &Method::GET) => return connections::list(state, &query),
        ("/admin/channels", &Method::GET) => return channels::list(state, &query),
        ("/admin/cluster", &Method::GET) => cluster::list(state)?,
        ("/admin/drain", &Method::GET) => drain::drain_progress(state),
        ("/admin/drain", &Method::POST) => drain::begin_drain(state, &query)?,
        ("/admin/drain", &Method::DELETE) => drain::cancel_drain(state)?,
        ("/admin/shed", &Method::GET) => drain::shed_progress(state),
        ("/admin/shed", &Method::POST) => drain::begin_shed(state, &query)?,
        ("/admin/shed", &Method::DELETE) => drain::cancel_shed(state)?,
        (path, _) if PATHS.contains(&path) => return Err(ApiError::method_not_allowed(allowed)),
        _ => {
            return Err(ApiError::new(StatusCode::NOT_FOUND, format!("the paths are {}", PATHS.join(", "))));
        }
    };
    Ok(ResponseFuture::ready(ok(&value)))
}

fn ok(value: &Value) -> HttpResponse {
    json_response(StatusCode::OK, value)
}
