//! The handshake: which requests become a WebSocket, and why others do not.
//!
//! The checks and their order are those of gorilla/websocket, but for the method, which comes first: a client that
//! posts has to hear that it cannot. Where gorilla is lenient (a second key, a body, HTTP/1.0), RFC 6455 section 4.2.1
//! decides. A wrong version is answered with 426, section 4.4.

use super::origin;
use crate::config::OriginPattern;
use crate::http::error::{RequestError, URI_BYTES_MAX};
use crate::http::host::{self, HostRules};
use crate::hub::history::RECOVERED_MAX;
use crate::hub::{MessageShape, Since};
use crate::protocol::channel_name::ChannelName;
use crate::protocol::{Encoding, Position};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::{Method, Request, Version};
use percent_encoding::percent_decode_str;

/// The value of `Allow`.
pub(crate) const METHODS: &str = "GET, OPTIONS";

/// The channel of requests that name none.
pub(crate) const DEFAULT_CHANNEL: &str = "lobby";

/// What a request for a WebSocket endpoint wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wanted {
    Connection,
    /// Why a handshake for the same address is refused: browsers tell pages neither status nor text of a handshake, but
    /// those of a plain GET.
    Reason,
}

/// Checks that a request is a valid handshake, or asks about one without any header of a handshake; from an allowed
/// origin.
pub(crate) fn check<B>(
    request: &Request<B>,
    hosts: HostRules<'_>,
    allowed_origins: &[OriginPattern],
) -> Result<Wanted, RequestError> {
    let headers = request.headers();
    if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > URI_BYTES_MAX) {
        return Err(RequestError::UriTooLong);
    }
    if request.method() != Method::GET {
        return Err(RequestError::MethodNotAllowed(METHODS));
    }
    if is_question(headers) {
        let requested = host::requested(request)?;
        hosts.check(requested.as_ref())?;
        origin::check(headers, requested.as_ref(), hosts, allowed_origins)?;
        return Ok(Wanted::Reason);
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
    origin::check(headers, requested.as_ref(), hosts, allowed_origins)?;
    Ok(Wanted::Connection)
}

/// Returns whether a GET has none of the headers of a handshake.
fn is_question(headers: &HeaderMap) -> bool {
    let of_handshake = [header::UPGRADE, header::SEC_WEBSOCKET_KEY, header::SEC_WEBSOCKET_VERSION];
    !has_token(headers, header::CONNECTION, "upgrade") && of_handshake.iter().all(|name| !headers.contains_key(name))
}

/// Returns the channel that the query names, if it names one.
pub(crate) fn channel(query: Option<&str>) -> Result<Option<ChannelName>, RequestError> {
    let Some(named) = parameter(query, "channel") else { return Ok(None) };
    let name = percent_decode_str(named).decode_utf8();
    let name = name.map_err(|_| RequestError::BadRequest("the channel name is not UTF-8"))?;
    Ok(Some(ChannelName::parse(&name)?))
}

/// Returns the channel of a request that names none: the first one that its client may enter in any case, or the lobby.
pub(crate) fn default_channel(first: Option<&str>) -> Result<ChannelName, RequestError> {
    Ok(ChannelName::parse(first.unwrap_or(DEFAULT_CHANNEL))?)
}

/// Returns how the query wants the messages: `join=off` as one message each, `heartbeat=on` with signs of life.
pub(crate) fn shape(query: Option<&str>, encoding: Encoding) -> Result<MessageShape, RequestError> {
    let is_on = |name: &str, default: bool| match parameter(query, name) {
        None => Ok(default),
        Some("on") => Ok(true),
        Some("off") => Ok(false),
        Some(_) => Err(RequestError::BadRequest("join and heartbeat are on or off")),
    };
    Ok(MessageShape { encoding, is_split: !is_on("join", true)?, has_signs_of_life: is_on("heartbeat", false)? })
}

/// Returns what the query wants of the channel's past: `history=N` the newest lines, `since=POSITION` those after it.
pub(crate) fn since(query: Option<&str>, encoding: Encoding) -> Result<Since, RequestError> {
    let newest = match parameter(query, "history") {
        None => None,
        Some(count) => match count.parse() {
            Ok(count) if count <= RECOVERED_MAX => Some(count),
            Ok(_) | Err(_) => return Err(RequestError::BadHistory),
        },
    };
    match (parameter(query, "since"), newest) {
        (None, None) => Ok(Since::Now),
        (None, Some(newest)) => Ok(Since::Newest(newest)),
        (Some(_), _) if encoding != Encoding::NumberedLines => Err(RequestError::BadRequest(
            "since takes the subprotocol throng.numbered, which says which position a line has",
        )),
        (Some(position), newest) => {
            // A colon may be escaped.
            let position = Position::parse(&percent_decode_str(position).decode_utf8_lossy())?;
            Ok(Since::After { position, or_newest: newest.unwrap_or(0) })
        }
    }
}

/// Returns the value of the first parameter of that name.
fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
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
