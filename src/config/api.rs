//! The HTTP API: who may use it, and how long and how much a request may be.

use super::key::ApiKey;
use super::section::section;
use super::setting::DefaultValue::Unset;
use super::setting::Kind::Secrets;
use super::setting::{bytes, deadline, text};
use std::time::Duration;

section! {
    /// The HTTP API, with which backends publish: who may use it, and how much a request may be.
    pub struct ApiConfig in "api" (Once) {
        /// Keys for the HTTP API (/api/...), 12 characters or more. Without a key, here or as an `[[api_key]]` table,
        /// every request gets 401.
        ///
        /// A request sends one of them as `X-API-Key: KEY` or `Authorization: Bearer KEY`. These keys may do
        /// everything; those of `[[api_key]]` tables have scopes. A shorter key is accepted with a warning. Prefer a
        /// file or a variable: flags are visible in the list of processes.
        api_keys: Vec<ApiKey> = Secrets("keys"), Unset, AtOnce;

        /// Maximum size of the body of an API request. A larger one gets 413. Of /api/publish_stream it is the size of
        /// one line.
        ///
        /// The hub keeps the whole body while it works on the request. The data of one publication is limited by
        /// --message-bytes-max.
        api_body_bytes_max: usize = bytes(1024, 1 << 30), text("4194304"), AtOnce;

        /// Time that an API request waits for shards that have no room. After it what is not published is refused with
        /// 503 and Retry-After.
        ///
        /// It is back-pressure: a backend that publishes faster than sockets take it is slowed down first.
        publish_timeout: Duration = deadline(), text("1s"), AtOnce;
    }
}
