//! A refusal: why a connection was refused before it was a WebSocket.

use super::counters::Labels;

/// Declares the reasons once: as an enum, and as the values of a label.
macro_rules! refusals {
    ($($(#[doc = $help:literal])+ $Name:ident $label:literal,)+) => {
        /// Why a connection was refused before it was a WebSocket.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Refusal {
            $($(#[doc = $help])+ $Name,)+
        }

        impl Labels for Refusal {
            const LABEL: &'static str = "reason";

            const VALUES: &'static [&'static str] = &[$($label,)+];
        }
    };
}

refusals! {
    /// The request is not a handshake, or a malformed one.
    BadRequest "bad_request",
    /// The head or the target of the request is too large.
    HeadSize "head_size",
    /// The head or the PROXY header did not arrive in time.
    Timeout "timeout",
    /// The TLS handshake failed.
    Tls "tls",
    /// The origin of the page is not allowed.
    Origin "origin",
    /// There is no token, and one is required.
    TokenMissing "token_missing",
    /// The token is malformed, or a claim in it is.
    TokenMalformed "token_malformed",
    /// The token is for no known key, or for another algorithm than its key.
    TokenKey "token_key",
    /// The signature of the token is wrong.
    TokenSignature "token_signature",
    /// The token has expired.
    TokenExpired "token_expired",
    /// The token is not valid yet.
    TokenEarly "token_not_yet_valid",
    /// The token is for another audience.
    TokenAudience "token_audience",
    /// The token is from another issuer.
    TokenIssuer "token_issuer",
    /// The key of the token may be there once the key set has been read.
    TokenKeysPending "token_keys_pending",
    /// The PROXY header is missing or malformed, or its sender is not trusted.
    ProxyProtocol "proxy_protocol",
    /// Too many connections from one address.
    ConnectionsAddress "connections_address",
    /// Too many connections of one user.
    ConnectionsUser "connections_user",
    /// Too many handshakes per second from one address.
    RateAddress "rate_address",
    /// Too many handshakes per second in total.
    RateTotal "rate_total",
    /// Too many handshakes in progress: the oldest one was cut off.
    HandshakesAddress "handshakes_address",
    /// The hub has reached `connections_max`.
    Full "full",
    /// The hub has reached `channels_max`.
    Channels "channels",
    /// The channel has reached `subscribers_max`.
    ChannelFull "channel_full",
    /// The namespace of the channel is not defined.
    Namespace "namespace",
    /// The client may not subscribe to the channel.
    Permission "permission",
    /// The process is close to its memory budget.
    Memory "memory",
    /// The process has no descriptor left.
    Descriptors "descriptors",
    /// The hub is not part of its cluster yet.
    Cluster "cluster",
    /// The hub is stopping.
    Stopping "stopping",
}
