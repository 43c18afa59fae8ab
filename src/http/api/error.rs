//! API errors: a code, and a text that names the field, the value and the rule.
//!
//! A request that is wrong in itself, or that the hub cannot take now, has a status of its own. What only the state of
//! the hub makes an error (a namespace that is not defined, a position that is gone) is an answer with status 200, as
//! in Centrifugo, unless the request asks for statuses by `X-Throng-Error-Mode: transport`.

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

/// Longest text of an error: it repeats what the client sent.
const TEXT_BYTES_MAX: usize = 500;

/// What is wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ErrorKind {
    /// A bug of ours.
    Internal,
    /// No key, or a wrong one.
    Unauthorized,
    /// Too many wrong keys.
    WrongKeys,
    /// The key is not for this.
    PermissionDenied,
    UnknownMethod,
    /// Not POST.
    Verb,
    BadRequest,
    BodyTimeout,
    BodyTooLarge,
    MediaType,
    UnknownChannel,
    NotAvailable,
    UnrecoverablePosition,
    /// A limit of the hub is reached.
    Limit,
    /// Shards have no room.
    Busy,
    /// The cluster does not take it, or does not answer.
    Cluster,
}

impl ErrorKind {
    /// Returns the code, that of Centrifugo.
    pub(super) const fn code(self) -> u32 {
        match self {
            Self::Internal => 100,
            Self::Unauthorized => 101,
            Self::UnknownChannel => 102,
            Self::PermissionDenied => 103,
            Self::UnknownMethod => 104,
            Self::Limit => 106,
            Self::BadRequest | Self::Verb | Self::BodyTimeout | Self::BodyTooLarge | Self::MediaType => 107,
            Self::NotAvailable | Self::Cluster => 108,
            Self::WrongKeys | Self::Busy => 111,
            Self::UnrecoverablePosition => 112,
        }
    }

    /// Returns the status, that of the transport mode for what has 200 without it.
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::WrongKeys => StatusCode::TOO_MANY_REQUESTS,
            Self::PermissionDenied => StatusCode::FORBIDDEN,
            Self::UnknownMethod | Self::UnknownChannel | Self::NotAvailable => StatusCode::NOT_FOUND,
            Self::Verb => StatusCode::METHOD_NOT_ALLOWED,
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::UnrecoverablePosition => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Limit | Self::Busy | Self::Cluster => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Returns whether only the state of the hub makes it an error.
    pub(super) const fn is_an_answer(self) -> bool {
        matches!(self, Self::UnknownChannel | Self::NotAvailable | Self::UnrecoverablePosition)
    }

    /// Returns whether the same request may succeed in a second.
    pub(super) const fn is_temporary(self) -> bool {
        matches!(self, Self::WrongKeys | Self::Limit | Self::Busy | Self::Cluster)
    }
}

/// Why a request, a command or a line was not carried out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct ApiError {
    pub(super) kind: ErrorKind,
    text: String,
}

/// An error as a client gets it.
#[derive(Clone, Debug, JsonSchema, Serialize)]
#[schemars(rename = "Error")]
pub(super) struct ErrorBody {
    /// What is wrong: 100 internal, 101 unauthorized, 102 unknown channel, 103 permission denied, 104 unknown method,
    /// 106 limit exceeded, 107 bad request, 108 not available, 111 too many requests, 112 unrecoverable position.
    code: u32,
    /// The field, the value and the rule, for people.
    message: String,
}

impl ApiError {
    pub(super) fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.len() > TEXT_BYTES_MAX {
            let end = (0..=TEXT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(end);
            text.push_str(" ...");
        }
        Self { kind, text }
    }

    pub(super) fn bad_request(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadRequest, text)
    }

    pub(super) fn into_body(self) -> ErrorBody {
        ErrorBody { code: self.kind.code(), message: self.text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_characters() {
        let error = ApiError::bad_request("\u{2603}".repeat(1000));
        assert_eq!(error.into_body().message, format!("{} ...", "\u{2603}".repeat(166)));
    }
}
