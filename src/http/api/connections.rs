//! The connections that a request names: one by its id, or all of a user.

use super::error::ApiError;
use crate::auth::UserId;
use crate::hub::ConnectionId;
use crate::operation::state::State;

/// What the id of a connection looks like, as a regular expression for descriptions; [`ConnectionId::parse`] decides.
pub(super) const ID_PATTERN: &str = "^([0-9]|[1-5][0-9]|6[0-3])/[0-9]{1,7}\\.[0-9]{1,9}$";

/// Returns the connections that a request names: at least one of `client` and `user`; with both, that connection if it
/// is one of the user's. `done` says what is done to them.
pub(super) fn find(
    state: &State,
    client: Option<&str>,
    user: Option<&str>,
    done: &str,
) -> Result<Vec<ConnectionId>, ApiError> {
    let client = client.map(parse).transpose()?;
    let Some(name) = user else {
        let rule = format!("client or user: one of them has to name what is {done}");
        return client.map(|client| vec![client]).ok_or_else(|| ApiError::bad_request(rule));
    };
    let rule = || ApiError::bad_request(format!("user: it is empty; anonymous clients are {done} by client"));
    let user = UserId::new(name).ok_or_else(rule)?;
    let of_user = state.users.of(&user).into_iter();
    Ok(of_user.filter(|id| client.is_none_or(|client| client == *id)).collect())
}

fn parse(text: &str) -> Result<ConnectionId, ApiError> {
    let rule = || {
        let rule = "is not the id of a connection such as 0/17.3, see /admin/connections";
        ApiError::bad_request(format!("client: {text:.40?} {rule}"))
    };
    ConnectionId::parse(text).ok_or_else(rule)
}
