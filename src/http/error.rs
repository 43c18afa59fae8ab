//! Request errors: why a request was refused, and the response to it.

use super::response::{HttpResponse, set_header, text};
use crate::auth::TokenError;
use crate::config::UnknownNamespace;
use crate::hub::history::RECOVERED_MAX;
use crate::metrics::Refusal;
use crate::net::admission::Excess;
use crate::operation::state::State;
use crate::protocol::channel_name::NameError;
use crate::protocol::position::PositionError;
use crate::session::permission::Denied;
use hyper::{StatusCode, header};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;
use thiserror::Error;

/// Longest request target in bytes: no valid channel name needs more, escaped or not.
pub(super) const URI_BYTES_MAX: usize = 4096;

/// Why a request was refused. The text is the body of the response.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub(crate) enum RequestError {
    #[error("Bad Request: {0}\n")]
    BadRequest(&'static str),
    #[error("Bad Request: {0}\n")]
    BadChannel(#[from] NameError),
    #[error("Bad Request: history is a number of lines from 0 to {RECOVERED_MAX}\n")]
    BadHistory,
    #[error("Bad Request: since: {0}\n")]
    BadPosition(#[from] PositionError),
    #[error("Forbidden: the page's origin {0} is neither this host nor one of --allowed-origins\n")]
    ForeignOrigin(String),
    /// The page may be one that was led here by a name of its own.
    #[error(
        "Forbidden: {0} is not a name of this machine, such as localhost, and no trusted proxy forwarded the request; \
         add it to --allowed-hosts, or the proxy to --trusted-proxies\n"
    )]
    ForeignHost(String),
    #[error("Unauthorized: {0}\n")]
    Token(#[from] TokenError),
    #[error("Unauthorized: a token is required, as ?token=, in a subprotocol, or as Authorization: Bearer\n")]
    TokenMissing,
    #[error("Misdirected Request: {0} is not one of --allowed-hosts\n")]
    UnknownHost(String),
    #[error("Not Found: {0}\n")]
    UnknownNamespace(#[from] UnknownNamespace),
    /// With the rule.
    #[error("Forbidden: {0}\n")]
    Denied(String),
    /// With the methods that are.
    #[error("Method Not Allowed: this path supports {0}\n")]
    MethodNotAllowed(&'static str),
    #[error("URI Too Long: the limit is {URI_BYTES_MAX} bytes\n")]
    UriTooLong,
    #[error("Upgrade Required: this is a WebSocket endpoint, version 13\n")]
    UpgradeRequired,
    #[error("Too Many Requests: this address has reached its limit of connections\n")]
    AddressConnections,
    #[error("Too Many Requests: this user has reached its limit of connections\n")]
    UserConnections,
    #[error("Too Many Requests: this address connects too fast; try again in {0} s\n")]
    AddressRate(u64),
    #[error("Service Unavailable: too many clients connect at once; try again in {0} s\n")]
    TotalRate(u64),
    #[error("Service Unavailable: the key of the token is being fetched; try again in a second\n")]
    TokenKeysPending,
    #[error("Service Unavailable: memory is short\n")]
    Memory,
    #[error("Service Unavailable: the hub has reached its limit of connections\n")]
    Full,
    #[error("Service Unavailable: the hub has reached its limit of channels\n")]
    TooManyChannels,
    #[error("Service Unavailable: the channel has reached its limit of subscribers\n")]
    ChannelFull,
    #[error("Service Unavailable: the hub is not part of its cluster yet\n")]
    Cluster,
    #[error("Service Unavailable: the hub is stopping\n")]
    Stopping,
}

impl RequestError {
    /// Returns the status of the response.
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) | Self::BadChannel(_) | Self::BadHistory | Self::BadPosition(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::ForeignOrigin(_) | Self::ForeignHost(_) | Self::Denied(_) => StatusCode::FORBIDDEN,
            Self::UnknownNamespace(_) => StatusCode::NOT_FOUND,
            Self::Token(_) | Self::TokenMissing => StatusCode::UNAUTHORIZED,
            Self::UnknownHost(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            Self::AddressConnections | Self::AddressRate(_) | Self::UserConnections => StatusCode::TOO_MANY_REQUESTS,
            Self::TotalRate(_)
            | Self::TokenKeysPending
            | Self::Memory
            | Self::Full
            | Self::TooManyChannels
            | Self::ChannelFull
            | Self::Cluster
            | Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Returns the seconds after which a retry makes sense: long enough that other connections may have ended, short
    /// enough for a person to wait. `None` if the request itself is wrong.
    pub(crate) const fn retry_after(&self) -> Option<u64> {
        match self {
            Self::AddressRate(seconds) | Self::TotalRate(seconds) => Some(*seconds),
            Self::TokenKeysPending => Some(1),
            Self::AddressConnections
            | Self::UserConnections
            | Self::Memory
            | Self::Full
            | Self::TooManyChannels
            | Self::ChannelFull
            | Self::Cluster
            | Self::Stopping => Some(5),
            Self::BadRequest(_)
            | Self::BadChannel(_)
            | Self::BadHistory
            | Self::BadPosition(_)
            | Self::ForeignOrigin(_)
            | Self::ForeignHost(_)
            | Self::Token(_)
            | Self::TokenMissing
            | Self::UnknownHost(_)
            | Self::UnknownNamespace(_)
            | Self::Denied(_)
            | Self::MethodNotAllowed(_)
            | Self::UriTooLong
            | Self::UpgradeRequired => None,
        }
    }

    /// Returns the reason that the metrics count it under.
    pub(crate) const fn refusal(&self) -> Refusal {
        match self {
            Self::BadRequest(_)
            | Self::BadChannel(_)
            | Self::BadHistory
            | Self::BadPosition(_)
            | Self::MethodNotAllowed(_)
            | Self::UpgradeRequired => Refusal::BadRequest,
            Self::ForeignOrigin(_) | Self::ForeignHost(_) | Self::UnknownHost(_) => Refusal::Origin,
            Self::UriTooLong => Refusal::HeadSize,
            Self::Token(error) => token_refusal(*error),
            Self::TokenMissing => Refusal::TokenMissing,
            Self::TokenKeysPending => Refusal::TokenKeysPending,
            Self::UserConnections => Refusal::ConnectionsUser,
            Self::AddressConnections => Refusal::ConnectionsAddress,
            Self::AddressRate(_) => Refusal::RateAddress,
            Self::TotalRate(_) => Refusal::RateTotal,
            Self::Memory => Refusal::Memory,
            Self::Full => Refusal::Full,
            Self::TooManyChannels => Refusal::Channels,
            Self::ChannelFull => Refusal::ChannelFull,
            Self::UnknownNamespace(_) => Refusal::Namespace,
            Self::Denied(_) => Refusal::Permission,
            Self::Cluster => Refusal::Cluster,
            Self::Stopping => Refusal::Stopping,
        }
    }

    /// Counts the refusal and returns the response.
    pub(crate) fn respond(&self, state: &State, peer: IpAddr) -> HttpResponse {
        state.refuse(peer, self.refusal());
        let mut response = text(self.status(), self.to_string());
        set_header(&mut response, header::CONNECTION, "close");
        if let Some(seconds) = self.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, jittered(seconds).into());
        }
        match self {
            Self::UpgradeRequired => {
                set_header(&mut response, header::UPGRADE, "websocket");
                set_header(&mut response, header::CONNECTION, "upgrade, close");
            }
            Self::MethodNotAllowed(allowed) => set_header(&mut response, header::ALLOW, allowed),
            Self::TokenMissing => set_header(&mut response, header::WWW_AUTHENTICATE, "Bearer"),
            // RFC 6750 section 3.1.
            Self::Token(_) => set_header(&mut response, header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\""),
            _ => {}
        }
        response
    }
}

impl From<Denied> for RequestError {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied.to_string())
    }
}

impl From<Excess> for RequestError {
    fn from(excess: Excess) -> Self {
        match excess {
            Excess::AddressConnections => Self::AddressConnections,
            Excess::AddressRate(wait) => Self::AddressRate(whole_seconds(wait)),
            Excess::TotalRate(wait) => Self::TotalRate(whole_seconds(wait)),
        }
    }
}

/// Returns the reason that the metrics count a wrong token under.
const fn token_refusal(error: TokenError) -> Refusal {
    match error {
        TokenError::TooLong
        | TokenError::Malformed
        | TokenError::Duplicate
        | TokenError::Critical
        | TokenError::Claim(_) => Refusal::TokenMalformed,
        TokenError::NoKeys | TokenError::UnknownKey | TokenError::Unsigned | TokenError::Algorithm => Refusal::TokenKey,
        TokenError::Signature => Refusal::TokenSignature,
        TokenError::Expired => Refusal::TokenExpired,
        TokenError::NotYetValid | TokenError::IssuedInFuture => Refusal::TokenEarly,
        TokenError::Audience => Refusal::TokenAudience,
        TokenError::Issuer => Refusal::TokenIssuer,
    }
}

/// Rounds up, to one second at least.
fn whole_seconds(wait: Duration) -> u64 {
    let is_whole = wait.subsec_nanos() == 0;
    (wait.as_secs() + u64::from(!is_whole)).max(1)
}

/// Returns a random time between `seconds` and twice as much, so that clients that were refused together do not return
/// together.
fn jittered(seconds: u64) -> u64 {
    // Each `RandomState` has new keys. They need not be unpredictable.
    seconds + RandomState::new().hash_one(()) % (seconds + 1)
}
