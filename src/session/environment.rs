//! The environment of a session: what a client's commands need of the process besides the engine.

use super::centrifuge::clients::Clients;
use super::hooks::Hooks;
use super::users::Users;
use crate::auth::{Claims, TokenError};
use crate::config::Namespaces;
use crate::hub::Sink;
use std::fmt;
use std::sync::Arc;

/// What a client that says who it is after the handshake needs of the process.
pub trait Environment<S: Sink>: fmt::Debug + Send + Sync {
    /// Verifies a token at this moment.
    ///
    /// # Errors
    ///
    /// [`TokenRefusal`] says what the client can do.
    fn verify(&self, token: &str) -> Result<Claims, TokenRefusal>;

    /// Returns whether a client without a token is refused.
    fn is_token_required(&self) -> bool;

    /// Returns whether a client with a user is subscribed to the channel of that user.
    fn has_personal_channels(&self) -> bool;

    /// Returns the application.
    fn hooks(&self) -> &dyn Hooks;

    /// Returns how many connections a user may have.
    fn connections_per_user_max(&self) -> usize;

    /// Returns the options of channels.
    fn namespaces(&self) -> Arc<Namespaces>;

    /// Returns the index of users.
    fn users(&self) -> &Arc<Users>;

    /// Returns the index of clients whose subscriptions a backend can change.
    fn clients(&self) -> &Clients<S>;

    /// Returns the time as tokens have it, in seconds since the Unix epoch.
    fn unix_seconds(&self) -> u64;
}

/// Why a token was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TokenRefusal {
    /// It was valid: the client needs a new one.
    Expired,
    /// Its key may be there in a moment.
    KeyPending,
    /// It is not valid, and never will be.
    Invalid(TokenError),
}
