//! The routes of the operators' API: checks the key, then the path and the method.

use super::error::{ApiError, json_response};
use super::query::Query;
use super::{channels, connections, drain};
use crate::http::response::{HttpResponse, ResponseFuture};
use crate::operation::operator_key::KeyStatus;
use crate::operation::state::State;
use hyper::header::{self, HeaderMap};
use hyper::{Method, Request, StatusCode};
use serde_json::Value;
use std::sync::Arc;

/// Responds to a request below `/admin/`.
pub(in crate::http) fn respond<B>(state: &Arc<State>, request: &Request<B>) -> ResponseFuture {
    match check_key(state, request.headers()).and_then(|()| route(state, request)) {
        Ok(response) => response,
        Err(error) => ResponseFuture::ready(error.respond()),
    }
}

/// Returns whether a request has one of the operator's keys.
pub(in crate::http) fn has_key(state: &State, headers: &HeaderMap) -> bool {
    state.keys.check(key_of(headers), &state.settings.load().access.admin_keys) == KeyStatus::Right
}

fn check_key(state: &State, headers: &HeaderMap) -> Result<(), ApiError> {
    match state.keys.check(key_of(headers), &state.settings.load().access.admin_keys) {
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
    let bearer = || headers.get(header::AUTHORIZATION)?.as_bytes().strip_prefix(b"Bearer ");
    headers.get("x-api-key").map(|key| key.as_bytes()).or_else(bearer).unwrap_or_default()
}

fn route<B>(state: &Arc<State>, request: &Request<B>) -> Result<ResponseFuture, ApiError> {
    let query = Query(request.uri().query().unwrap_or_default());
    let value = match (request.uri().path(), request.method()) {
        ("/admin/connections", &Method::GET) => return connections::list(state, &query),
        ("/admin/channels", &Method::GET) => return channels::list(state, &query),
        ("/admin/connections" | "/admin/channels", _) => {
            return Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "this path supports GET"));
        }
        ("/admin/drain", &Method::GET) => drain::drain_progress(state),
        ("/admin/drain", &Method::POST) => drain::begin_drain(state, &query)?,
        ("/admin/drain", &Method::DELETE) => drain::cancel_drain(state)?,
        ("/admin/shed", &Method::GET) => drain::shed_progress(state),
        ("/admin/shed", &Method::POST) => drain::begin_shed(state, &query)?,
        ("/admin/shed", &Method::DELETE) => drain::cancel_shed(state)?,
        ("/admin/drain" | "/admin/shed", _) => {
            return Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "this path supports GET, POST and DELETE"));
        }
        _ => {
            return Err(ApiError::new(
                StatusCode::NOT_FOUND,
                "the paths are /admin/drain, /admin/shed, /admin/connections and /admin/channels",
            ));
        }
    };
    Ok(ResponseFuture::ready(ok(&value)))
}

fn ok(value: &Value) -> HttpResponse {
    json_response(StatusCode::OK, value)
}
