//! `/admin/disconnect`: ends every connection of a user, such as one whose access was revoked.

use super::error::{ApiError, json_response};
use super::query::Query;
use crate::http::api::{self, Done};
use crate::http::response::ResponseFuture;
use crate::operation::state::State;
use hyper::StatusCode;
use serde_json::json;
use std::sync::Arc;

/// Closes the connections that `user` has at this moment, with 4503. A token that is still valid lets it return.
pub(super) fn disconnect(state: &Arc<State>, query: &Query<'_>) -> Result<ResponseFuture, ApiError> {
    query.only(&["user"])?;
    let name = query.text("user")?;
    let state = Arc::clone(state);
    Ok(ResponseFuture::boxed(async move {
        let Done { connections, gaps } = match api::disconnect_user(&state, &name).await {
            Ok(done) => done,
            Err(text) => return ApiError::new(StatusCode::SERVICE_UNAVAILABLE, text).respond(),
        };
        let mut body = json!({ "user": name, "disconnected": connections });
        // A hub that did not answer may still have connections of the user.
        if let Some(missing) = gaps.missing_hubs() {
            body["missing_hubs"] = missing;
        }
        json_response(StatusCode::OK, &body)
    }))
}
