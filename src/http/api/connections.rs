//! The connections that a request names: one by its id, or all of a user.

use super::error::ApiError;
use crate::auth::UserId;
use crate::hub::{ClientId, ConnectionId, HubId};
use crate::operation::state::State;

/// What the id of a connection looks like, as a regular expression for descriptions; [`ClientId::parse`] decides.
pub(super) const ID_PATTERN: &str = "^([0-9a-f]{16}-)?([0-9]|[1-5][0-9]|6[0-3])/[0-9]{1,7}\\.[0-9]{1,9}$";

/// Returns the connections of this hub that a request names: at least one of `client` and `user`; with both, that
/// connection if it is one of the user's. `done` says what is done to them.
pub(super) fn find(
    state: &State,
    client: Option<&str>,
    user: Option<&str>,
    done: &str,
) -> Result<Vec<ConnectionId>, ApiError> {
    let own = state.hub().id();
    let client = client.map(|text| parse(text, own)).transpose()?;
    let rule = || ApiError::bad_request(format!("user: it is empty; anonymous clients are {done} by client"));
    let user = user.map(|name| UserId::new(name).ok_or_else(rule)).transpose()?;
    let is_here = client.is_none_or(|client| client.hub == own);
    let client = client.map(|client| client.connection);
    let named = match (user, client) {
        (Some(user), _) => state.users.of(&user),
        (None, Some(client)) => vec![client],
        (None, None) => {
            let rule = format!("client or user: one of them has to name what is {done}");
            return Err(ApiError::bad_request(rule));
        }
    };
    Ok(named.into_iter().filter(|id| is_here && client.is_none_or(|client| client == *id)).collect())
}

/// Reads the id of a client. In a cluster it names a hub; elsewhere no client has one that does.
fn parse(text: &str, own: Option<HubId>) -> Result<ClientId, ApiError> {
    let example = own.map_or_else(String::new, |own| format!("{own}-"));
    let rule = || {
        let rule = format!("is not the id of a connection such as {example}0/17.3, see /admin/connections");
        ApiError::bad_request(format!("client: {text:.40?} {rule}"))
    };
    ClientId::parse(text).filter(|client| own.is_none() || client.hub.is_some()).ok_or_else(rule)
}
