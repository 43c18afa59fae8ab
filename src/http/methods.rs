//! The methods of a route: what `OPTIONS` and a wrong method are told (RFC 9110 sections 9.3.7 and 15.5.6).

use super::error::RequestError;
use super::response::{HttpResponse, text};
use hyper::header::{self, HeaderValue};
use hyper::{Method, StatusCode};

/// The value of `Allow` for what is only read.
pub(super) const READ: &str = "GET, HEAD, OPTIONS";

/// Returns the response for GET and HEAD, whose body hyper leaves out. Other methods are an error, and `OPTIONS` is
/// answered without the response, unless that is an error itself: balancers check health with it by default.
pub(super) fn read_only(response: HttpResponse, method: &Method) -> Result<HttpResponse, RequestError> {
    match *method {
        Method::GET | Method::HEAD => Ok(response),
        Method::OPTIONS if response.status().is_success() => Ok(options(READ)),
        Method::OPTIONS => Ok(response),
        _ => Err(RequestError::MethodNotAllowed(READ)),
    }
}

/// Returns the response to `OPTIONS`. It has no headers of CORS, so it opens nothing to other pages.
pub(super) fn options(allowed: &'static str) -> HttpResponse {
    let mut response = text(StatusCode::NO_CONTENT, "");
    response.headers_mut().remove(header::CONTENT_TYPE);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}
