//! The key of a request, and what is answered without a right one.

use super::error::{ApiError, ErrorKind};
use crate::operation::api_key::Scopes;
use crate::operation::operator_key::KeyStatus;
use crate::operation::state::State;
use hyper::header::{self, HeaderMap};
use std::net::IpAddr;

/// Schemes of `Authorization` that carry a key: Centrifugo's own, and the one that every HTTP client knows.
const SCHEMES: [&[u8]; 2] = [b"apikey", b"bearer"];

/// Returns what the key of a request may do. A wrong key is logged without it: it is a mistake, or a guess.
pub(super) fn check(state: &State, peer: IpAddr, headers: &HeaderMap) -> Result<Scopes, ApiError> {
    let key = of(headers);
    let error = match state.api_keys.check(key, &state.settings.load()) {
        Ok(scopes) => return Ok(scopes),
        Err(error) => error,
    };
    match error {
        KeyStatus::NoKeys => Err(ApiError::new(
            ErrorKind::Unauthorized,
            "the hub has no key for its API; give it one with --api-keys or THRONG_API_KEYS, or as an [[api_key]] \
             table of its file",
        )),
        KeyStatus::TooMany => {
            tracing::warn!(%peer, "too many requests of /api have a wrong key");
            Err(ApiError::new(ErrorKind::WrongKeys, "too many wrong keys; try again in a second"))
        }
        KeyStatus::Wrong | KeyStatus::Right => {
            if !key.is_empty() {
                tracing::warn!(%peer, "a request of /api has a wrong key");
            }
            Err(ApiError::new(
                ErrorKind::Unauthorized,
                "a key is required, one of --api-keys or of an [[api_key]] table, as X-API-Key: KEY or Authorization: \
                 Bearer KEY",
            ))
        }
    }
}

/// Returns the key; empty if there is none. It is not taken from the query, which proxies write into their logs.
fn of(headers: &HeaderMap) -> &[u8] {
    let credentials = || headers.get_all(header::AUTHORIZATION).into_iter().find_map(|line| token(line.as_bytes()));
    headers.get("x-api-key").map(|key| key.as_bytes().trim_ascii()).or_else(credentials).unwrap_or_default()
}

/// Returns the token of credentials. The name of a scheme has no case (RFC 9110 section 11.1).
fn token(credentials: &[u8]) -> Option<&[u8]> {
    let space = credentials.iter().position(|byte| *byte == b' ')?;
    let (scheme, token) = credentials.split_at(space);
    SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)).then(|| token.trim_ascii())
}
