//! A failure: why a command was not done, and whether the connection goes on.

use crate::protocol::centrifuge::{DisconnectCode, Error, ErrorCode};
use crate::protocol::{CloseReason, Disconnection};
use crate::session::environment::TokenRefusal;
use crate::session::hooks::Decision;

/// Why a command was not done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Failure {
    /// The client gets an error in reply.
    Error(Error),
    /// The client is disconnected.
    Close(CloseReason),
    /// The client is disconnected by the application, in its words.
    Disconnect(Disconnection),
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        Self::Error(code.into())
    }
}

impl From<DisconnectCode> for Failure {
    fn from(code: DisconnectCode) -> Self {
        Self::Close(CloseReason::Centrifuge(code))
    }
}

impl From<TokenRefusal> for Failure {
    fn from(refusal: TokenRefusal) -> Self {
        match refusal {
            TokenRefusal::Expired => ErrorCode::TokenExpired.into(),
            // SDKs come back after a temporary error.
            TokenRefusal::KeyPending => ErrorCode::Internal.into(),
            TokenRefusal::Invalid(_) => DisconnectCode::InvalidToken.into(),
        }
    }
}

impl<T> Decision<T> {
    /// Returns what the application allows.
    pub(super) fn allowed(self) -> Result<T, Failure> {
        match self {
            Self::Allowed(what) => Ok(what),
            Self::Refused(error) => Err(Failure::Error(error)),
            Self::Closed(disconnection) => Err(Failure::Disconnect(disconnection)),
        }
    }
}
