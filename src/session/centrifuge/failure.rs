//! A failure: why a command was not done, and whether the connection goes on.

use crate::protocol::CloseReason;
use crate::protocol::centrifuge::{DisconnectCode, ErrorCode};
use crate::session::environment::TokenRefusal;

/// Why a command was not done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Failure {
    /// The client gets an error in reply.
    Error(ErrorCode),
    /// The client is disconnected.
    Close(CloseReason),
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        Self::Error(code)
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
