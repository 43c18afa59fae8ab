//! The chat page and its parts, embedded in the binary.

use super::error::{RequestError, read_only};
use super::response::{HttpResponse, set_header, text, with_body};
use hyper::header::{self, HeaderName};
use hyper::{Method, StatusCode};

/// An embedded file.
#[derive(Clone, Copy, Debug)]
struct Page {
    content_type: &'static str,
    body: &'static [u8],
}

/// Headers of every page: it may load its own parts and connect to its own host, and nothing else.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // The page belongs to the binary, so browsers must not keep that of an older version.
    (header::CACHE_CONTROL, "no-cache"),
];

/// Responds with a page. The path is checked before the method, as in gorilla's chat example.
pub(super) fn respond(path: &str, method: &Method) -> Result<HttpResponse, RequestError> {
    let Some(page) = find(path) else { return Ok(text(StatusCode::NOT_FOUND, "Not found\n")) };
    let mut response = with_body(StatusCode::OK, page.content_type, page.body);
    for (name, value) in HEADERS {
        set_header(&mut response, name, value);
    }
    read_only(response, method)
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
