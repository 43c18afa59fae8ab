//! A handshake: which requests become a WebSocket, and what the others are told.
//!
//! The checks and their order are those of gorilla/websocket; where that one is lenient (a second key, a body,
//! HTTP/1.0) RFC 6455 section 4.2.1 decides. A wrong version is answered with 426, as section 4.4 says.

use super::origin;
use crate::config::OriginPattern;
use crate::metrics::Refused;
use crate::protocol::name::{ChannelName, NameError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::{Method, Request, StatusCode, Version};
use percent_encoding::percent_decode_str;
use thiserror::Error;

/// The channel of who names none.
pub(super) const DEFAULT_CHANNEL: &str = "lobby";

/// Most bytes of a request's target: no valid channel name needs more, escaped or not.
const URI_BYTES_MAX: usize = 4096;

/// Why a request did not become a connection. The text is the body of the answer.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub(super) enum Refusal {
    #[error("Bad Request: {0}\n")]
    BadRequest(&'static str),
    #[error("Bad Request: {0}\n")]
    BadChannel(#[from] NameError),
    #[error("Forbidden: the page's origin {0} is neither this host nor one of --allowed-origins\n")]
    ForeignOrigin(String),
    #[error("Method not allowed\n")]
    MethodNotAllowed,
    #[error("URI Too Long: the limit is {URI_BYTES_MAX} bytes\n")]
    UriTooLong,
    #[error("Upgrade Required: this is a WebSocket endpoint, version 13\n")]
    UpgradeRequired,
    #[error("Too Many Requests: this address has all the connections it may have\n")]
    AddressConnections,
    #[error("Too Many Requests: this address connects too fast; try again in {0} s\n")]
    AddressRate(u64),
    #[error("Service Unavailable: too many connect at once; try again in {0} s\n")]
    TotalRate(u64),
    #[error("Service Unavailable: memory is short\n")]
    Memory,
    #[error("Service Unavailable: the hub has all the connections it may have\n")]
    Full,
    #[error("Service Unavailable: the hub has all the channels it may have\n")]
    TooManyChannels,
    #[error("Service Unavailable: the hub is stopping\n")]
    Stopping,
}

impl Refusal {
    pub(super) const fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) | Self::BadChannel(_) => StatusCode::BAD_REQUEST,
            Self::ForeignOrigin(_) => StatusCode::FORBIDDEN,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            Self::AddressConnections | Self::AddressRate(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::TotalRate(_) | Self::Memory | Self::Full | Self::TooManyChannels | Self::Stopping => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }
}

impl Refusal {
    /// Returns after how many seconds trying again makes sense: long enough for others to leave, short enough for
    /// people to wait. `None` when the request itself is wrong.
    pub(super) const fn retry_after(&self) -> Option<u64> {
        match self {
            Self::AddressRate(seconds) | Self::TotalRate(seconds) => Some(*seconds),
            Self::AddressConnections | Self::Memory | Self::Full | Self::TooManyChannels | Self::Stopping => Some(5),
            _ => None,
        }
    }

    /// Returns what the metrics count it as.
    pub(super) const fn reason(&self) -> Refused {
        match self {
            Self::BadRequest(_) | Self::BadChannel(_) | Self::MethodNotAllowed | Self::UpgradeRequired => {
                Refused::BadRequest
            }
            Self::ForeignOrigin(_) => Refused::Origin,
            Self::UriTooLong => Refused::HeadSize,
            Self::AddressConnections => Refused::ConnectionsAddress,
            Self::AddressRate(_) => Refused::RateAddress,
            Self::TotalRate(_) => Refused::RateTotal,
            Self::Memory => Refused::Memory,
            Self::Full => Refused::Full,
            Self::TooManyChannels => Refused::Channels,
            Self::Stopping => Refused::Stopping,
        }
    }
}

/// Checks that a request asks for a WebSocket, properly.
pub(super) fn check<B>(request: &Request<B>, allowed_origins: &[OriginPattern]) -> Result<(), Refusal> {
    let headers = request.headers();
    if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > URI_BYTES_MAX) {
        return Err(Refusal::UriTooLong);
    }
    if !has_token(headers, header::CONNECTION, "upgrade") {
        return Err(Refusal::BadRequest("the header Connection: upgrade is missing"));
    }
    if !has_token(headers, header::UPGRADE, "websocket") {
        return Err(Refusal::UpgradeRequired);
    }
    if request.method() != Method::GET {
        return Err(Refusal::MethodNotAllowed);
    }
    if request.version() != Version::HTTP_11 {
        return Err(Refusal::BadRequest("HTTP/1.1 is needed"));
    }
    if headers.get_all(header::HOST).iter().count() != 1 {
        return Err(Refusal::BadRequest("exactly one Host header is needed"));
    }
    if headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|len| len != "0")
    {
        return Err(Refusal::BadRequest("a handshake has no body"));
    }
    if only(headers, header::SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(Refusal::UpgradeRequired);
    }
    let key = only(headers, header::SEC_WEBSOCKET_KEY).and_then(|key| STANDARD.decode(key).ok());
    if key.is_none_or(|key| key.len() != 16) {
        return Err(Refusal::BadRequest("Sec-WebSocket-Key must be the base64 of 16 bytes, once"));
    }
    origin::check(headers, allowed_origins).map_err(Refusal::ForeignOrigin)
}

/// Returns the channel that the query names.
pub(super) fn channel(query: Option<&str>) -> Result<ChannelName, Refusal> {
    let named = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("channel="));
    let name = percent_decode_str(named.unwrap_or(DEFAULT_CHANNEL)).decode_utf8();
    let name = name.map_err(|_| Refusal::BadRequest("the channel name is not UTF-8"))?;
    Ok(ChannelName::parse(&name)?)
}

/// Returns the value of a header that stands there exactly once.
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
