//! A close code: the number in a close frame, RFC 6455 section 7.4.
//!
//! Protocol errors use the codes of section 7.4.1. Policy outcomes use the numbers of the Centrifuge protocol plus 1000
//! (slow consumer 3008 becomes 4008), so that the rule of its clients holds for the chat protocol too: reconnect after
//! 4000 to 4499, do not after 4500 to 4999.

/// A status code of a close frame, RFC 6455 section 7.4.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct CloseCode(u16);

impl CloseCode {
    /// The token of the client has expired.
    pub const EXPIRED: Self = Self(4005);
    /// The operator ended the connections of a user.
    pub const FORCE_DISCONNECT: Self = Self(4503);
    /// The connection has reached its maximum age.
    pub const GOING_AWAY: Self = Self(1001);
    /// Publications were lost that the client should have got.
    pub const INSUFFICIENT_STATE: Self = Self(4010);
    /// A bug of ours ended the connection.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// Text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// A message beyond the limit.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// No answer to a ping in time.
    pub const NO_PONG: Self = Self(4012);
    /// The peer ended the connection as planned.
    pub const NORMAL: Self = Self(1000);
    /// The client did what it may not do in this channel.
    pub const PERMISSION_DENIED: Self = Self(4507);
    /// Legal frames that break a limit of ours.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// Bytes that RFC 6455 forbids.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// The hub sheds connections or stops; another one serves.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// The outbox was too long, or the socket took nothing for too long.
    pub const SLOW_CONSUMER: Self = Self(4008);
    /// The hub has no room at the moment.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// Commands or control frames beyond the rate limit.
    pub const TOO_MANY_REQUESTS: Self = Self(4013);
    /// A backend removed the client from its channel.
    pub const UNSUBSCRIBED: Self = Self(4510);

    /// Returns the code that a peer sent; `None` if it may not appear on the wire, RFC 6455 section 7.4.2 and the
    /// registry of IANA (1014 was registered later).
    pub const fn from_wire(code: u16) -> Option<Self> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// Returns the number of the code.
    pub const fn as_u16(self) -> u16 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_may_not_be_sent_are_refused() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
            assert_eq!(CloseCode::from_wire(code), None);
        }
        for code in [1000, 1003, 1007, 1014, 3000, 4999] {
            assert_eq!(CloseCode::from_wire(code).map(CloseCode::as_u16), Some(code));
        }
    }
}
