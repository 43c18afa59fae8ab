//! The handshake: which requests become a WebSocket, and why others do not.
//!
//! The checks and their order are those of gorilla/websocket, but for the method, which comes first: a client that
//! posts has to hear that it cannot. Where gorilla is lenient (a second key, a body, HTTP/1.0), RFC 6455 section 4.2.1
//! decides. A wrong version is answered with 426, section 4.4.

use super::origin;
use crate::config::OriginPattern;
use crate::http::error::{RequestError, URI_BYTES_MAX};
use crate::http::host::{self, HostRules};
use crate::hub::MessageShape;
use crate::protocol::channel_name::ChannelName;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::{Method, Request, Version};
use percent_encoding::percent_decode_str;

/// The value of `Allow`.
pub(crate) const METHODS: &str = "GET, OPTIONS";

/// The channel of requests that name none.
pub(crate) const DEFAULT_CHANNEL: &str = "lobby";

/// Checks that a request is a valid handshake, from an allowed origin.
pub(crate) fn check<B>(
    request: &Request<B>,
    hosts: HostRules<'_>,
    allowed_origins: &[OriginPattern],
) -> Result<(), RequestError> {
    let headers = request.headers();
    if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > URI_BYTES_MAX) {
        return Err(RequestError::UriTooLong);
    }
    if request.method() != Method::GET {
        return Err(RequestError::MethodNotAllowed(METHODS));
    }
    if !has_token(headers, header::CONNECTION, "upgrade") {
        return Err(RequestError::BadRequest("the header Connection: upgrade is missing"));
    }
    if !has_token(headers, header::UPGRADE, "websocket") {
        return Err(RequestError::UpgradeRequired);
    }
    if request.version() != Version::HTTP_11 {
        return Err(RequestError::BadRequest("HTTP/1.1 is required"));
    }
    let requested = host::requested(request)?;
    if headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|len| len != "0")
    {
        return Err(RequestError::BadRequest("a handshake must not have a body"));
    }
    if only(headers, header::SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(RequestError::UpgradeRequired);
    }
    let key = only(headers, header::SEC_WEBSOCKET_KEY).and_then(|key| STANDARD.decode(key).ok());
    if key.is_none_or(|key| key.len() != 16) {
        return Err(RequestError::BadRequest("exactly one Sec-WebSocket-Key is required, the base64 of 16 bytes"));
    }
    hosts.check(requested.as_ref())?;
    origin::check(headers, requested.as_ref(), hosts, allowed_origins)
}

/// Returns the channel that the query names.
pub(crate) fn channel(query: Option<&str>) -> Result<ChannelName, RequestError> {
    let named = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("channel="));
    let name = percent_decode_str(named.unwrap_or(DEFAULT_CHANNEL)).decode_utf8();
    let name = name.map_err(|_| RequestError::BadRequest("the channel name is not UTF-8"))?;
    Ok(ChannelName::parse(&name)?)
}

/// Returns how the query wants the messages: `join=off` as one message each, `heartbeat=on` with signs of life.
pub(crate) fn shape(query: Option<&str>) -> Result<MessageShape, RequestError> {
    let is_on = |name: &str, default: bool| {
        let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        match pairs.into_iter().find(|(known, _)| *known == name) {
            None => Ok(default),
            Some((_, "on")) => Ok(true),
            Some((_, "off")) => Ok(false),
            Some(_) => Err(RequestError::BadRequest("join and heartbeat are on or off")),
        }
    };
    Ok(MessageShape { is_split: !is_on("join", true)?, has_signs_of_life: is_on("heartbeat", false)? })
}

/// Returns the value of a header that occurs exactly once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    value.to_str().ok()
}

/// Returns whether one of the comma-separated values of a header is `token`.
fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(token))
}
