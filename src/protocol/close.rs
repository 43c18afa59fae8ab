//! A close reason: every way in which we end a connection, with its code and its text.

use super::centrifuge::DisconnectCode;
use super::close_code::CloseCode;
use super::error::ProtocolError;

/// Why we end a connection.
///
/// Leaving, idling and being slow are outcomes, not errors; only [`CloseReason::Protocol`] carries one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CloseReason {
    /// The peer sent a close frame; its code is echoed, RFC 6455 section 5.5.1.
    Peer(Option<CloseCode>),
    /// The peer's bytes broke a rule of the protocol or a limit on messages.
    Protocol(ProtocolError),
    /// The outbox exceeded its bound in bytes or in time.
    SlowConsumer,
    /// Publications of its channel were lost, and the channel's policy is to close.
    InsufficientState,
    /// The peer did not answer a ping in time.
    NoPong,
    /// The peer sent control frames beyond the rate limit.
    TooManyRequests,
    /// The channel would be one more than the hub may have.
    TooManyChannels,
    /// The channel has all the subscribers that it may have.
    ChannelFull,
    /// What the client sent was not published: NATS did not acknowledge it.
    NotPublished,
    /// The hub is cut off from NATS, and another one may not be.
    CutOff,
    /// The client published to a channel where it may not.
    PermissionDenied,
    /// The hub is stopping, or drains.
    Shutdown,
    /// The operator moves a share of the connections to other hubs.
    Shed,
    /// The connection has reached its maximum age.
    Aged,
    /// The token of the client has expired.
    Expired,
    /// A backend removes the client from the only channel of its connection.
    Unsubscribed,
    /// An operator or a backend ends the connection, with this code.
    Disconnected(CloseCode),
    /// The Centrifuge protocol has a code of its own for it.
    Centrifuge(DisconnectCode),
    /// A bug of ours; the connection ends, the process does not.
    Internal,
}

/// An end that the application words itself: the code of its choice, and a text of at most [`TEXT_BYTES_MAX`] bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Disconnection {
    /// From 4000 to 4999.
    pub code: CloseCode,
    /// What a person reads; SDKs pass it on.
    pub text: Box<str>,
}

/// Most bytes of the text in a close frame, which shares 125 with its code, RFC 6455 section 5.5.
pub const TEXT_BYTES_MAX: usize = 123;

/// Codes that an application may choose: clients reconnect up to 4499.
const CODES: std::ops::RangeInclusive<u16> = 4000..=4999;

impl Disconnection {
    /// Returns that of this code, with the usual text if this one is empty.
    ///
    /// # Errors
    ///
    /// Says which of `code` and `reason` breaks which rule.
    pub fn new(code: u16, text: &str) -> Result<Self, String> {
        let allowed = CloseCode::from_wire(code).filter(|_| CODES.contains(&code));
        let code = allowed.ok_or_else(|| format!("code: {code} is not between 4000 and 4999"))?;
        if text.len() > TEXT_BYTES_MAX {
            return Err(format!("reason: it has more than {TEXT_BYTES_MAX} bytes, the most of a close frame"));
        }
        if text.trim_start().starts_with('{') {
            return Err("reason: SDKs read an object there as an old form of codes; give plain text".to_owned());
        }
        let text = if text.is_empty() { CloseReason::Disconnected(code).text() } else { text };
        Ok(Self { code, text: text.into() })
    }

    /// Returns the reason that it is counted under.
    pub const fn reason(&self) -> CloseReason {
        CloseReason::Disconnected(self.code)
    }
}

impl CloseReason {
    /// One reason of every kind, for tests and for the metrics' fixed label set.
    pub const ALL: [Self; 19] = [
        Self::Peer(None),
        Self::Protocol(ProtocolError::Unmasked),
        Self::SlowConsumer,
        Self::InsufficientState,
        Self::NoPong,
        Self::TooManyRequests,
        Self::TooManyChannels,
        Self::ChannelFull,
        Self::NotPublished,
        Self::CutOff,
        Self::PermissionDenied,
        Self::Shutdown,
        Self::Shed,
        Self::Aged,
        Self::Expired,
        Self::Unsubscribed,
        Self::Disconnected(CloseCode::FORCE_DISCONNECT),
        Self::Centrifuge(DisconnectCode::BadRequest),
        Self::Internal,
    ];

    /// Returns the code to send; `None` only as the echo of a close frame without one.
    pub const fn code(self) -> Option<CloseCode> {
        match self {
            Self::Peer(code) => code,
            Self::Protocol(error) => Some(error.close_code()),
            Self::SlowConsumer => Some(CloseCode::SLOW_CONSUMER),
            Self::InsufficientState => Some(CloseCode::INSUFFICIENT_STATE),
            Self::NoPong => Some(CloseCode::NO_PONG),
            Self::TooManyRequests => Some(CloseCode::TOO_MANY_REQUESTS),
            Self::TooManyChannels | Self::ChannelFull | Self::NotPublished | Self::CutOff => {
                Some(CloseCode::TRY_AGAIN_LATER)
            }
            Self::PermissionDenied => Some(CloseCode::PERMISSION_DENIED),
            Self::Shutdown | Self::Shed => Some(CloseCode::SERVICE_RESTART),
            Self::Aged => Some(CloseCode::GOING_AWAY),
            Self::Expired => Some(CloseCode::EXPIRED),
            Self::Unsubscribed => Some(CloseCode::UNSUBSCRIBED),
            Self::Disconnected(code) => Some(code),
            Self::Centrifuge(code) => Some(code.close_code()),
            Self::Internal => Some(CloseCode::INTERNAL_ERROR),
        }
    }

    /// Returns the text to send: a fixed string of at most 123 bytes, never an echo of input.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Peer(_) => "",
            Self::Protocol(error) => error.reason(),
            Self::SlowConsumer => "slow consumer",
            Self::InsufficientState => "insufficient state",
            Self::NoPong => "no pong",
            Self::TooManyRequests => "too many requests",
            Self::TooManyChannels => "too many channels",
            Self::ChannelFull => "channel is full",
            Self::NotPublished => "not published",
            Self::CutOff => "cut off from the cluster",
            Self::PermissionDenied => "permission denied",
            Self::Shutdown => "shutting down",
            Self::Shed => "moving to another server",
            Self::Aged => "time to reconnect",
            Self::Expired => "token expired",
            Self::Unsubscribed => "unsubscribed",
            Self::Disconnected(_) => "force disconnect",
            Self::Centrifuge(code) => code.text(),
            Self::Internal => "internal error",
        }
    }

    /// Returns the value of the metrics' `reason` label.
    pub const fn label(self) -> &'static str {
        Self::LABELS[self.index()]
    }

    /// The label of every kind of reason, in the order of [`CloseReason::index`].
    pub const LABELS: [&'static str; 19] = [
        "peer",
        "protocol",
        "slow_consumer",
        "insufficient_state",
        "no_pong",
        "too_many_requests",
        "too_many_channels",
        "channel_full",
        "not_published",
        "cut_off",
        "permission_denied",
        "shutdown",
        "shed",
        "aged",
        "expired",
        "unsubscribed",
        "disconnected",
        "centrifuge",
        "internal",
    ];

    /// Returns the position of this kind of reason in [`CloseReason::LABELS`].
    pub const fn index(self) -> usize {
        match self {
            Self::Peer(_) => 0,
            Self::Protocol(_) => 1,
            Self::SlowConsumer => 2,
            Self::InsufficientState => 3,
            Self::NoPong => 4,
            Self::TooManyRequests => 5,
            Self::TooManyChannels => 6,
            Self::ChannelFull => 7,
            Self::NotPublished => 8,
            Self::CutOff => 9,
            Self::PermissionDenied => 10,
            Self::Shutdown => 11,
            Self::Shed => 12,
            Self::Aged => 13,
            Self::Expired => 14,
            Self::Unsubscribed => 15,
            Self::Disconnected(_) => 16,
            Self::Centrifuge(_) => 17,
            Self::Internal => 18,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A close frame's reason shares 125 bytes with its code, RFC 6455 section 5.5.
    #[test]
    fn every_reason_fits_a_control_frame_and_has_its_label() {
        for (index, reason) in CloseReason::ALL.into_iter().enumerate() {
            assert!(reason.text().len() <= 123);
            assert_eq!(reason.index(), index);
            assert!(matches!(reason, CloseReason::Peer(None)) || !reason.text().is_empty());
        }
    }
}
