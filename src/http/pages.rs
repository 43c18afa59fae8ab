//! The chat page and its parts, embedded in the binary.

use super::error::RequestError;
use super::methods::read_only;
use super::response::{HttpResponse, ResponseBody, set_header, text, with_body};
use crate::config::HostPort;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{HeaderMap, Request, StatusCode};

/// An embedded file.
#[derive(Clone, Copy, Debug)]
struct Page {
    content_type: &'static str,
    body: &'static [u8],
}

/// Headers of every page.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // The page belongs to the binary, so browsers have to ask each time whether theirs is that of an older version.
    (header::CACHE_CONTROL, "no-cache"),
];

/// Responds with a page. The path is checked before the method, as in gorilla's chat example.
pub(super) fn respond<B>(request: &Request<B>, host: Option<&HostPort>) -> Result<HttpResponse, RequestError> {
    let Some(page) = find(request.uri().path()) else { return Ok(text(StatusCode::NOT_FOUND, "Not found\n")) };
    let mut response = with_body(StatusCode::OK, page.content_type, page.body);
    for (name, value) in HEADERS {
        set_header(&mut response, name, value);
    }
    let tag = entity_tag(page.body);
    let is_known = is_known(request.headers(), &tag);
    let headers = [(header::CONTENT_SECURITY_POLICY, policy(host)), (header::ETAG, tag)];
    for (name, value) in headers {
        // Both are ASCII, so they are values.
        response.headers_mut().extend(HeaderValue::from_str(&value).ok().map(|value| (name, value)));
    }
    let response = read_only(response, request.method())?;
    let is_read = response.status() == StatusCode::OK;
    Ok(if is_known && is_read { not_modified(response) } else { response })
}

/// Returns the policy of a page: it may load its own parts and connect to its own host, and nothing else.
///
/// Safari before 15.4 does not count `ws:` as `'self'`, so the host is named too.
fn policy(host: Option<&HostPort>) -> String {
    let sockets = host.map_or_else(String::new, |HostPort { host, port }| {
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        format!(" ws://{host}{port} wss://{host}{port}")
    });
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'{sockets}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// Returns the entity tag of a page, which changes with its content: FNV-1a, 64 bits.
fn entity_tag(body: &[u8]) -> String {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    format!("\"{:016x}\"", body.iter().fold(0xcbf2_9ce4_8422_2325, mix))
}

/// Returns whether the client has this version already, RFC 9110 section 13.1.2: tags are compared weakly, because a
/// proxy that compresses makes them weak.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let lines = headers.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|line| line.to_str().ok());
    let known = lines.flat_map(|line| line.split(',')).map(str::trim);
    known.map(|known| known.strip_prefix("W/").unwrap_or(known)).any(|known| known == tag || known == "*")
}

/// Returns the response without what a client has already.
fn not_modified(response: HttpResponse) -> HttpResponse {
    let mut response = response.map(|_| ResponseBody::default());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response.headers_mut().remove(header::CONTENT_TYPE);
    response
}

/// Returns the page at a path.
fn find(path: &str) -> Option<Page> {
    let (content_type, body): (_, &[u8]) = match path {
        "/" => ("text/html; charset=utf-8", include_bytes!("../../static/index.html")),
        "/connection.js" => ("text/javascript; charset=utf-8", include_bytes!("../../static/connection.js")),
        "/authors.js" => ("text/javascript; charset=utf-8", include_bytes!("../../static/authors.js")),
        "/line.js" => ("text/javascript; charset=utf-8", include_bytes!("../../static/line.js")),
        "/log.js" => ("text/javascript; charset=utf-8", include_bytes!("../../static/log.js")),
        "/chat.js" => ("text/javascript; charset=utf-8", include_bytes!("../../static/chat.js")),
        "/style.css" => ("text/css; charset=utf-8", include_bytes!("../../static/style.css")),
        "/favicon.svg" => ("image/svg+xml", include_bytes!("../../static/favicon.svg")),
        _ => return None,
    };
    Some(Page { content_type, body })
}
