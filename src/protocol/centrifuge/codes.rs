//! The codes of the Centrifuge protocol: errors in replies, the end of a subscription, the end of a connection.
//!
//! SDKs decide by the number alone whether they try again, so each number is one line of one table here.

use crate::protocol::CloseCode;

/// Why a command was not done.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorCode {
    /// A bug of ours.
    Internal,
    /// The client has to say who it is.
    Unauthorized,
    /// The channel's namespace does not exist.
    UnknownChannel,
    /// The client may not do that.
    PermissionDenied,
    /// There is no such command.
    MethodNotFound,
    /// The client is subscribed to the channel.
    AlreadySubscribed,
    /// A limit of the connection, or of a name.
    LimitExceeded,
    /// The command cannot be understood.
    BadRequest,
    /// The namespace, or the hub, does not offer that.
    NotAvailable,
    /// The token has expired; SDKs get a new one and try again.
    TokenExpired,
    /// The connection or the subscription has expired.
    Expired,
    /// Commands beyond the rate limit.
    TooManyRequests,
    /// The position cannot be recovered.
    UnrecoverablePosition,
    /// Pages of a state that changes meanwhile.
    ConcurrentPagination,
}

/// Why a subscription ended. SDKs subscribe again from 2500 on.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum UnsubscribeCode {
    /// The hub, or a backend, ended it.
    Server,
    /// The client may have missed something.
    InsufficientState,
    /// The token of the subscription has expired.
    Expired,
    /// What the client knows is not valid any more; SDKs drop their token and position too.
    StateInvalidated,
}

/// Why a connection ended. SDKs reconnect after 3000 to 3499, and not after 3500 to 3999.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum DisconnectCode {
    /// It was closed without another reason.
    ConnectionClosed,
    /// The hub is stopping.
    Shutdown,
    /// A bug of ours.
    ServerError,
    /// The token of the connection has expired.
    Expired,
    /// The token of a subscription has expired.
    SubscriptionExpired,
    /// It got its messages too slowly.
    Slow,
    /// Its socket took nothing any more.
    WriteError,
    /// It may have missed something of a subscription that it cannot renew itself.
    InsufficientState,
    /// It shall connect anew.
    ForceReconnect,
    /// It did not answer a ping in time.
    NoPong,
    /// Commands beyond the rate limit.
    TooManyRequests,
    /// What it knows is not valid any more.
    StateInvalidated,
    /// Its token is not valid.
    InvalidToken,
    /// What it sent cannot be understood, or came at the wrong time.
    BadRequest,
    /// It did not say who it is in time.
    Stale,
    /// An operator or a backend ended it.
    ForceDisconnect,
    /// The user has all the connections that it may have.
    ConnectionLimit,
    /// It has all the channels that it may have.
    ChannelLimit,
    /// Its transport cannot do what it asked for.
    InappropriateProtocol,
    /// It may not do what it did.
    PermissionDenied,
    /// The hub does not offer what it sent.
    NotAvailable,
    /// Too many of its commands failed.
    TooManyErrors,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [Self; 14] = [
        Self::Internal,
        Self::Unauthorized,
        Self::UnknownChannel,
        Self::PermissionDenied,
        Self::MethodNotFound,
        Self::AlreadySubscribed,
        Self::LimitExceeded,
        Self::BadRequest,
        Self::NotAvailable,
        Self::TokenExpired,
        Self::Expired,
        Self::TooManyRequests,
        Self::UnrecoverablePosition,
        Self::ConcurrentPagination,
    ];

    /// Returns the number, the text, and whether a client may try again.
    const fn row(self) -> (u32, &'static str, bool) {
        match self {
            Self::Internal => (100, "internal server error", true),
            Self::Unauthorized => (101, "unauthorized", false),
            Self::UnknownChannel => (102, "unknown channel", false),
            Self::PermissionDenied => (103, "permission denied", false),
            Self::MethodNotFound => (104, "method not found", false),
            Self::AlreadySubscribed => (105, "already subscribed", false),
            Self::LimitExceeded => (106, "limit exceeded", false),
            Self::BadRequest => (107, "bad request", false),
            Self::NotAvailable => (108, "not available", false),
            Self::TokenExpired => (109, "token expired", false),
            Self::Expired => (110, "expired", false),
            Self::TooManyRequests => (111, "too many requests", true),
            Self::UnrecoverablePosition => (112, "unrecoverable position", false),
            Self::ConcurrentPagination => (113, "concurrent pagination", true),
        }
    }

    /// Returns the number.
    pub const fn number(self) -> u32 {
        self.row().0
    }

    /// Returns the text that is sent with the number.
    pub const fn text(self) -> &'static str {
        self.row().1
    }

    /// Returns whether a client may try again.
    pub const fn is_temporary(self) -> bool {
        self.row().2
    }
}

impl UnsubscribeCode {
    /// Every code.
    pub const ALL: [Self; 4] = [Self::Server, Self::InsufficientState, Self::Expired, Self::StateInvalidated];

    const fn row(self) -> (u32, &'static str) {
        match self {
            Self::Server => (2000, "server unsubscribe"),
            Self::InsufficientState => (2500, "insufficient state"),
            Self::Expired => (2501, "subscription expired"),
            Self::StateInvalidated => (2502, "state invalidated"),
        }
    }

    /// Returns the number.
    pub const fn number(self) -> u32 {
        self.row().0
    }

    /// Returns the text that is sent with the number.
    pub const fn text(self) -> &'static str {
        self.row().1
    }

    /// Returns whether a client stays unsubscribed.
    pub const fn is_terminal(self) -> bool {
        self.number() < 2500
    }
}

impl DisconnectCode {
    /// Every code.
    pub const ALL: [Self; 22] = [
        Self::ConnectionClosed,
        Self::Shutdown,
        Self::ServerError,
        Self::Expired,
        Self::SubscriptionExpired,
        Self::Slow,
        Self::WriteError,
        Self::InsufficientState,
        Self::ForceReconnect,
        Self::NoPong,
        Self::TooManyRequests,
        Self::StateInvalidated,
        Self::InvalidToken,
        Self::BadRequest,
        Self::Stale,
        Self::ForceDisconnect,
        Self::ConnectionLimit,
        Self::ChannelLimit,
        Self::InappropriateProtocol,
        Self::PermissionDenied,
        Self::NotAvailable,
        Self::TooManyErrors,
    ];

    const fn row(self) -> (u16, &'static str) {
        match self {
            Self::ConnectionClosed => (3000, "connection closed"),
            Self::Shutdown => (3001, "shutdown"),
            Self::ServerError => (3004, "internal server error"),
            Self::Expired => (3005, "connection expired"),
            Self::SubscriptionExpired => (3006, "subscription expired"),
            Self::Slow => (3008, "slow"),
            Self::WriteError => (3009, "write error"),
            Self::InsufficientState => (3010, "insufficient state"),
            Self::ForceReconnect => (3011, "force reconnect"),
            Self::NoPong => (3012, "no pong"),
            Self::TooManyRequests => (3013, "too many requests"),
            Self::StateInvalidated => (3014, "state invalidated"),
            Self::InvalidToken => (3500, "invalid token"),
            Self::BadRequest => (3501, "bad request"),
            Self::Stale => (3502, "stale"),
            Self::ForceDisconnect => (3503, "force disconnect"),
            Self::ConnectionLimit => (3504, "connection limit"),
            Self::ChannelLimit => (3505, "channel limit"),
            Self::InappropriateProtocol => (3506, "inappropriate protocol"),
            Self::PermissionDenied => (3507, "permission denied"),
            Self::NotAvailable => (3508, "not available"),
            Self::TooManyErrors => (3509, "too many errors"),
        }
    }

    /// Returns the number.
    pub const fn number(self) -> u16 {
        self.row().0
    }

    /// Returns the text of the close frame: plain, because SDKs read a JSON object there as an old form of codes.
    pub const fn text(self) -> &'static str {
        self.row().1
    }

    /// Returns whether SDKs stay disconnected.
    pub const fn is_terminal(self) -> bool {
        self.number() >= 3500
    }

    /// Returns the code of the close frame.
    pub const fn close_code(self) -> CloseCode {
        match CloseCode::from_wire(self.number()) {
            Some(code) => code,
            // Not reached: every number may stand in a close frame, which a test holds.
            None => CloseCode::INTERNAL_ERROR,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn errors_have_their_numbers_and_three_are_temporary() {
        assert_eq!(ErrorCode::ALL.map(ErrorCode::number).to_vec(), (100..=113).collect::<Vec<_>>());
        let temporary = ErrorCode::ALL.into_iter().filter(|code| code.is_temporary()).map(ErrorCode::number);
        assert_eq!(temporary.collect::<Vec<_>>(), [100, 111, 113]);
    }

    /// What an SDK does depends on the range of the number alone.
    #[test]
    fn ends_have_their_numbers_and_are_terminal_by_range() {
        assert_eq!(UnsubscribeCode::ALL.map(UnsubscribeCode::number), [2000, 2500, 2501, 2502]);
        assert_eq!(UnsubscribeCode::ALL.map(UnsubscribeCode::is_terminal), [true, false, false, false]);
        let reconnect = [3000, 3001, 3004, 3005, 3006, 3008, 3009, 3010, 3011, 3012, 3013, 3014];
        let (terminal, others): (Vec<_>, Vec<_>) = DisconnectCode::ALL.into_iter().partition(|code| code.is_terminal());
        assert_eq!(others.into_iter().map(DisconnectCode::number).collect::<Vec<_>>(), reconnect);
        assert_eq!(
            terminal.into_iter().map(DisconnectCode::number).collect::<Vec<_>>(),
            (3500..=3509).collect::<Vec<_>>()
        );
    }

    /// A close frame's reason shares 125 bytes with its code, and an SDK would parse JSON in it.
    #[test]
    fn disconnects_fit_a_close_frame_with_a_plain_text_of_their_own() {
        for code in DisconnectCode::ALL {
            assert_eq!(code.close_code().as_u16(), code.number());
            assert!(!code.text().is_empty() && code.text().len() <= 123, "{code:?}");
            assert!(serde_json::from_str::<serde_json::Value>(code.text()).is_err(), "{code:?}");
        }
        let texts: HashSet<_> = DisconnectCode::ALL.iter().map(|code| code.text()).collect();
        assert_eq!(texts.len(), DisconnectCode::ALL.len());
    }
}
