//! API errors: the status, and a text that names the value and the rule.

use crate::http::response::{HttpResponse, with_body};
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use serde_json::{Value, json};

const JSON: &str = "application/json";

/// Why a request was not carried out.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    /// What is wrong, with the value and the rule.
    text: String,
    /// The methods of the path, where another one was used.
    allowed: Option<&'static str>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), allowed: None }
    }

    pub(super) fn bad_request(text: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    pub(super) fn method_not_allowed(allowed: &'static str) -> Self {
        let text = format!("this path supports {allowed}");
        Self { allowed: Some(allowed), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, text) }
    }

    pub(super) fn respond(&self) -> HttpResponse {
        let mut response = json_response(self.status, &json!({ "error": self.text }));
        let extra = match self.status {
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer")),
            StatusCode::METHOD_NOT_ALLOWED => self.allowed.map(|allowed| (header::ALLOW, allowed)),
            StatusCode::TOO_MANY_REQUESTS => Some((header::RETRY_AFTER, "1")),
            _ => None,
        };
        response.headers_mut().extend(extra.map(|(name, value)| (name, HeaderValue::from_static(value))));
        response
    }
}

/// Returns a response with an indented JSON body.
pub(super) fn json_response(status: StatusCode, value: &Value) -> HttpResponse {
    with_body(status, JSON, Bytes::from(format!("{value:#}\n")))
}
