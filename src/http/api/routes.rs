//! The route of a request: its key, its method, its body, and the answer with its status.

use super::call::Call;
use super::error::{ApiError, ErrorKind};
use super::json::{self, Answer};
use super::method::Method;
use super::stream::{self, Stream};
use super::{batch, body, dispatch, key, openapi};
use crate::http::methods;
use crate::http::progress::Progress;
use crate::http::response::{HttpResponse, ResponseFuture, set_header, with_body};
use crate::operation::api_key::Scopes;
use crate::operation::state::State;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Request, StatusCode};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::time::Instant;

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

/// Media types of the bodies that a stream may have: the second name of lines of JSON is as usual as the first.
const LINES_TYPES: [&str; 4] = [LINES, "application/jsonl", "application/ndjson", JSON];

/// The value of `Allow` of every method.
const POST: &str = "POST, OPTIONS";

/// The header with which a request asks for the statuses of errors, and that of Centrifugo, which ignores other words.
const ERROR_MODE: &str = "x-throng-error-mode";
const CENTRIFUGO_ERROR_MODE: &str = "x-centrifugo-error-mode";

/// A request that may be carried out.
#[derive(Clone, Copy, Debug)]
struct Route {
    method: Method,
    scopes: Scopes,
}

/// Responds to a request below `/api/`.
pub(in crate::http) fn respond(
    state: &Arc<State>,
    peer: IpAddr,
    progress: &Arc<Progress>,
    request: Request<Incoming>,
) -> ResponseFuture {
    let name = request.uri().path().strip_prefix("/api/").unwrap_or_default();
    if name == "openapi.json" {
        let response = methods::read_only(with_body(StatusCode::OK, JSON, openapi::document()), request.method());
        return ResponseFuture::ready(response.unwrap_or_else(|error| error.respond(state, peer)));
    }
    let found = Method::find(name);
    let index = found.as_ref().map_or(Method::UNKNOWN, |method| *method as usize);
    match route(state, peer, found, &request) {
        Ok(_) if request.method() == hyper::Method::OPTIONS => ResponseFuture::ready(methods::options(POST)),
        Ok(route) => {
            progress.keep();
            serve(route, Arc::clone(state), Arc::clone(progress), request)
        }
        Err(error) => {
            state.hub().metrics().api.count(index, error.kind.code());
            ResponseFuture::ready(refuse(error))
        }
    }
}

/// Checks everything that can be checked without the body. The key first: without one nothing is told.
fn route(
    state: &State,
    peer: IpAddr,
    found: Result<Method, ApiError>,
    request: &Request<Incoming>,
) -> Result<Route, ApiError> {
    let scopes = key::check(state, peer, request.headers())?;
    let method = found?;
    match *request.method() {
        hyper::Method::OPTIONS => {}
        hyper::Method::POST => check_content_type(method, request.headers())?,
        ref verb => {
            let text = format!("{verb} is not a verb of this path, which supports {POST}");
            return Err(ApiError::new(ErrorKind::Verb, text));
        }
    }
    check_error_mode(request.headers())?;
    Ok(Route { method, scopes })
}

/// Checks the type of the body. One that is not named is taken for the right one.
fn check_content_type(method: Method, headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(given) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let given = String::from_utf8_lossy(given.as_bytes());
    let essence = given.split(';').next().unwrap_or_default().trim();
    let allowed: &[&str] = if method == Method::PublishStream { &LINES_TYPES } else { &[JSON] };
    if allowed.iter().any(|one| one.eq_ignore_ascii_case(essence)) {
        return Ok(());
    }
    let text = format!("Content-Type: {given:.60?} is not {}", allowed.join(" or "));
    Err(ApiError::new(ErrorKind::MediaType, text))
}

fn serve(route: Route, state: Arc<State>, progress: Arc<Progress>, request: Request<Incoming>) -> ResponseFuture {
    let Route { method, scopes } = route;
    if method == Method::PublishStream {
        let scope = Call { state: &state, scopes, deadline: None, is_of_peer: false }.check_scope(method);
        if let Err(error) = scope {
            state.hub().metrics().api.count(method as usize, error.kind.code());
            return ResponseFuture::ready(refuse(error));
        }
        let body = stream::respond(Stream { state, scopes, body: request.into_body(), progress });
        return ResponseFuture::ready(with_body(StatusCode::OK, LINES, Bytes::new()).map(|_| body));
    }
    ResponseFuture::boxed(async move {
        let started = Instant::now();
        let response = answer(&state, Route { method, scopes }, &progress, request).await;
        state.hub().metrics().api.count_time(started.elapsed());
        response
    })
}

/// Reads the body, carries out the method, and returns the answer.
async fn answer(state: &Arc<State>, route: Route, progress: &Progress, request: Request<Incoming>) -> HttpResponse {
    let Route { method, scopes } = route;
    let (head, body) = request.into_parts();
    let (bytes_max, body_time, wait) = {
        let settings = state.settings.load();
        (settings.api.api_body_bytes_max, settings.sockets.message_timeout, settings.api.publish_timeout)
    };
    let body = match body::read(body, bytes_max, body_time).await {
        Ok(body) => body,
        Err(error) => {
            state.hub().metrics().api.count(method as usize, error.kind.code());
            return refuse(error);
        }
    };
    progress.note_body_read();
    let call = Call { state, scopes, deadline: Some(Instant::now() + wait), is_of_peer: false };
    let mut out = Vec::new();
    let done = if method == Method::Batch {
        let done = batch::batch(&call, &body).await;
        call.count(method, done.as_ref().err());
        done.map(|result| json::write(&mut out, &result))
    } else {
        dispatch::run(&call, method, &body).await.map(|reply| reply.write(&mut out))
    };
    match done {
        Ok(()) => with_body(StatusCode::OK, JSON, out),
        Err(error) if error.kind.is_an_answer() && !is_transport_mode(&head.headers) => {
            json::write(&mut out, &Answer::<()>::Error(error.into_body()));
            with_body(StatusCode::OK, JSON, out)
        }
        Err(error) => refuse(error),
    }
}

fn is_transport_mode(headers: &HeaderMap) -> bool {
    [ERROR_MODE, CENTRIFUGO_ERROR_MODE].into_iter().filter_map(|name| headers.get(name)).any(is_transport)
}

fn is_transport(mode: &HeaderValue) -> bool {
    mode.as_bytes().trim_ascii().eq_ignore_ascii_case(b"transport")
}

/// Checks the word of our own header, so that a mistyped one is not silently ignored.
fn check_error_mode(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.get(ERROR_MODE).filter(|mode| !is_transport(mode)) {
        Some(mode) => {
            let mode = String::from_utf8_lossy(mode.as_bytes());
            Err(ApiError::bad_request(format!("X-Throng-Error-Mode: {mode:.40?} is not transport, its only word")))
        }
        None => Ok(()),
    }
}

/// Returns an error with its status.
fn refuse(error: ApiError) -> HttpResponse {
    let kind = error.kind;
    let mut body = Vec::new();
    json::write(&mut body, &Answer::<()>::Error(error.into_body()));
    let mut response = with_body(kind.status(), JSON, body);
    match kind {
        ErrorKind::Unauthorized => set_header(&mut response, header::WWW_AUTHENTICATE, "Bearer"),
        ErrorKind::Verb => set_header(&mut response, header::ALLOW, POST),
        // The rest of the body is not read, so nothing more can come on the connection.
        ErrorKind::BodyTooLarge | ErrorKind::BodyTimeout => set_header(&mut response, header::CONNECTION, "close"),
        _ if kind.is_temporary() => set_header(&mut response, header::RETRY_AFTER, "1"),
        _ => {}
    }
    response
}
