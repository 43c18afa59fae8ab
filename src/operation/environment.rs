//! The environment of sessions: what clients that say later who they are need of the process.

use super::state::State;
use super::tokens::unix_seconds;
use crate::auth::{Claims, TokenError};
use crate::config::Namespaces;
use crate::net::socket::SocketSink;
use crate::session::centrifuge::clients::Clients;
use crate::session::hooks::Hooks;
use crate::session::users::Users;
use crate::session::{Environment, TokenRefusal};
use std::sync::Arc;

impl Environment<SocketSink> for State {
    fn verify(&self, token: &str) -> Result<Claims, TokenRefusal> {
        self.tokens.verify(token).map_err(|error| match error {
            TokenError::Expired => TokenRefusal::Expired,
            TokenError::UnknownKey if self.tokens.request_fetch() => TokenRefusal::KeyPending,
            error => TokenRefusal::Invalid(error),
        })
    }

    fn is_token_required(&self) -> bool {
        self.settings.load().tokens.token_required
    }

    fn hooks(&self) -> &dyn Hooks {
        &*self.hooks
    }

    fn has_personal_channels(&self) -> bool {
        self.settings.load().tokens.personal_channel
    }

    fn connections_per_user_max(&self) -> usize {
        self.settings.load().tokens.connections_per_user_max
    }

    fn namespaces(&self) -> Arc<Namespaces> {
        self.namespaces.load_full()
    }

    fn users(&self) -> &Arc<Users> {
        &self.users
    }

    fn clients(&self) -> &Clients<SocketSink> {
        &self.clients
    }

    fn unix_seconds(&self) -> u64 {
        unix_seconds()
    }
}
