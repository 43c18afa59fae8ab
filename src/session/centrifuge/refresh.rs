//! `refresh`: a new token for a connection.

use super::caller::Caller;
use super::clients::EXPIRY_GRACE;
use super::connect::expiry;
use super::failure::Failure;
use crate::auth::UserId;
use crate::hub::Sink;
use crate::protocol::centrifuge::{DisconnectCode, Refresh, RefreshResult, ReplyBody};

impl<S: Sink> Caller<'_, S> {
    /// Moves the end of the connection to that of a new token, which has to be of the same user.
    pub(super) fn refresh(&self, request: &Refresh) -> Result<ReplyBody, Failure> {
        if request.token.is_empty() {
            return Err(DisconnectCode::BadRequest.into());
        }
        let claims = self.environment.verify(&request.token)?;
        if claims.user.as_ref().map(UserId::as_str) != self.client.user() {
            return Err(DisconnectCode::InvalidToken.into());
        }
        let at = claims.connection_expires;
        self.environment.users().set_expiry(self.client.id, at.map(|at| at.saturating_add(EXPIRY_GRACE)));
        let expires = expiry(at, self.environment.unix_seconds());
        let (client, version) = (self.client.id.to_string(), env!("CARGO_PKG_VERSION").to_owned());
        Ok(ReplyBody::Refresh(RefreshResult { client, version, expires }))
    }
}
