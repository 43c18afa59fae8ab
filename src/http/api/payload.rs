//! What is published: JSON or bytes, and tags, as a payload.

use super::error::ApiError;
use crate::protocol::{Content, Details, Payload};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use schemars::Schema;
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What base64 is, padding and its unused bits included.
pub(super) const BASE64: &str = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";

/// Says in a schema that there is either JSON or bytes.
pub(super) fn one_of_data_and_bytes(schema: &mut Schema) {
    let of_data = json!({ "required": ["data"], "properties": { "b64data": { "maxLength": 0 } } });
    let of_bytes = json!({ "required": ["b64data"], "properties": { "b64data": { "minLength": 4 }, "data": false } });
    schema.insert("oneOf".to_owned(), json!([of_data, of_bytes]));
}

/// The fields of a request that say what is published.
#[derive(Debug)]
pub(super) struct Input<'a> {
    pub(super) data: Option<&'a RawValue>,
    /// Empty if there is none: libraries that write every field leave the other one empty.
    pub(super) b64data: &'a str,
    pub(super) tags: Option<&'a BTreeMap<String, String>>,
}

impl Input<'_> {
    /// Returns the payload. Data and tags together may have `bytes_max`, which `limit` names.
    pub(super) fn payload(&self, bytes_max: usize, limit: &str) -> Result<Payload, ApiError> {
        let mut payload = match (self.data, self.b64data) {
            (Some(data), "") => Payload::json(data.get()),
            (None, "") => return Err(ApiError::bad_request("data: missing; give data, or bytes as b64data")),
            (None, text) => Payload::new(Content::Binary, decode(text)?),
            (Some(_), _) => {
                return Err(ApiError::bad_request("b64data: data is given too; a publication has one of them"));
            }
        };
        if let Some(tags) = self.tags.filter(|tags| !tags.is_empty()) {
            let tags = tags.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            payload.details = Some(Arc::new(Details { tags, info: None }));
        }
        let bytes = payload.len() + payload.details.as_ref().map_or(0, |details| details.bytes());
        if bytes > bytes_max {
            return Err(ApiError::bad_request(format!("data: {bytes} bytes with tags; {limit} is {bytes_max}")));
        }
        Ok(payload)
    }
}

fn decode(text: &str) -> Result<Bytes, ApiError> {
    let decoded = STANDARD.decode(text);
    decoded
        .map(Bytes::from)
        .map_err(|error| ApiError::bad_request(format!("b64data: {text:.40?} is not base64: {error}")))
}
