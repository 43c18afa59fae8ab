//! A protocol error: why a client's bytes were refused, and the close code that says so.

use super::CloseCode;
use thiserror::Error;

/// Why a client's bytes were refused.
///
/// Being slow, leaving or idling are not here: those are outcomes, see [`CloseReason`](super::CloseReason).
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ProtocolError {
    /// A client frame arrived unmasked, which RFC 6455 section 5.1 forbids.
    #[error("unmasked frame")]
    Unmasked,
    /// A reserved bit without an extension that gives it a meaning, RFC 6455 section 5.2.
    #[error("reserved bits set")]
    ReservedBits,
    /// An opcode that RFC 6455 section 5.2 reserves.
    #[error("unknown opcode {opcode}")]
    UnknownOpcode {
        /// The four bits received.
        opcode: u8,
    },
    /// A control frame of more than 125 bytes, RFC 6455 section 5.5.
    #[error("control frame of more than 125 bytes")]
    ControlTooLong,
    /// A control frame in fragments, RFC 6455 section 5.5.
    #[error("fragmented control frame")]
    ControlFragmented,
    /// A length that is not in its shortest form, or has its top bit set, RFC 6455 section 5.2.
    #[error("malformed frame length")]
    BadLength,
    /// A continuation without a message, RFC 6455 section 5.4.
    #[error("continuation without a message")]
    StrayContinuation,
    /// A message that begins before the last one ended, RFC 6455 section 5.4.
    #[error("message inside a message")]
    NestedMessage,
    /// A close frame with a body of one byte, RFC 6455 section 5.5.1.
    #[error("close frame of one byte")]
    CloseTooShort,
    /// A close code that may not appear on the wire, RFC 6455 section 7.4.
    #[error("invalid close code {code}")]
    BadCloseCode {
        /// The code received.
        code: u16,
    },
    /// Text, or a close reason, that is not UTF-8, RFC 6455 section 8.1.
    #[error("invalid utf-8")]
    InvalidUtf8,
    /// The message is longer than `message_bytes_max`.
    #[error("message of {len} bytes or more exceeds the limit of {max}")]
    MessageTooBig {
        /// Bytes announced so far.
        len: u64,
        /// The limit in bytes.
        max: usize,
    },
    /// The message has more fragments than `fragments_max`, empty ones included.
    #[error("message of more than {max} fragments")]
    TooManyFragments {
        /// The limit in frames.
        max: u32,
    },
    /// The message was not complete within `message_timeout` of its first byte.
    #[error("message not complete in time")]
    MessageTimeout,
}

impl ProtocolError {
    /// Returns the close code to answer with, RFC 6455 section 7.4.1.
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::InvalidUtf8 => CloseCode::INVALID_PAYLOAD,
            Self::MessageTooBig { .. } => CloseCode::MESSAGE_TOO_BIG,
            Self::TooManyFragments { .. } | Self::MessageTimeout => CloseCode::POLICY_VIOLATION,
            Self::Unmasked
            | Self::ReservedBits
            | Self::UnknownOpcode { .. }
            | Self::ControlTooLong
            | Self::ControlFragmented
            | Self::BadLength
            | Self::StrayContinuation
            | Self::NestedMessage
            | Self::CloseTooShort
            | Self::BadCloseCode { .. } => CloseCode::PROTOCOL_ERROR,
        }
    }

    /// Returns the reason to send with the code: a fixed string.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unmasked => "unmasked frame",
            Self::ReservedBits => "reserved bits set",
            Self::UnknownOpcode { .. } => "unknown opcode",
            Self::ControlTooLong => "control frame too long",
            Self::ControlFragmented => "fragmented control frame",
            Self::BadLength => "malformed frame length",
            Self::StrayContinuation => "continuation without a message",
            Self::NestedMessage => "message inside a message",
            Self::CloseTooShort => "close frame of one byte",
            Self::BadCloseCode { .. } => "invalid close code",
            Self::InvalidUtf8 => "invalid utf-8",
            Self::MessageTooBig { .. } => "message too big",
            Self::TooManyFragments { .. } => "too many fragments",
            Self::MessageTimeout => "message not complete in time",
        }
    }
}
