//! Pings and the close frame of a client of the Centrifuge protocol.

use super::codes::DisconnectCode;
use super::format::Format;
use crate::protocol::websocket::frame;
use crate::protocol::{CloseCode, CloseReason};
use bytes::Bytes;

/// Returns a ping, which is an empty message: no allocation.
pub fn ping(format: Format) -> Bytes {
    match format {
        Format::Json => Bytes::from_static(b"\x81\x02{}"),
        Format::Protobuf => Bytes::from_static(b"\x82\x01\0"),
    }
}

/// Encodes the close frame for a reason. `code` is the one that other protocols would send.
pub fn frame(reason: CloseReason, code: Option<CloseCode>) -> Bytes {
    match disconnect_code(reason) {
        Some(code) => frame::close_with(code.close_code(), code.text()),
        None => frame::close(reason, code),
    }
}

/// Returns the code of the protocol; `None` where the code of RFC 6455, of a backend, or of the peer itself is sent.
///
/// SDKs reconnect after all of those but 1009, a message that is too long, and those of backends from 4500 on.
pub const fn disconnect_code(reason: CloseReason) -> Option<DisconnectCode> {
    match reason {
        CloseReason::SlowConsumer => Some(DisconnectCode::Slow),
        CloseReason::InsufficientState => Some(DisconnectCode::InsufficientState),
        CloseReason::NoPong => Some(DisconnectCode::NoPong),
        CloseReason::TooManyRequests => Some(DisconnectCode::TooManyRequests),
        CloseReason::PermissionDenied => Some(DisconnectCode::PermissionDenied),
        CloseReason::Shutdown | CloseReason::Shed => Some(DisconnectCode::Shutdown),
        CloseReason::Aged => Some(DisconnectCode::ForceReconnect),
        CloseReason::Expired => Some(DisconnectCode::Expired),
        CloseReason::Unsubscribed | CloseReason::Disconnected(CloseCode::FORCE_DISCONNECT) => {
            Some(DisconnectCode::ForceDisconnect)
        }
        CloseReason::Internal => Some(DisconnectCode::ServerError),
        CloseReason::Centrifuge(code) => Some(code),
        CloseReason::Peer(_)
        | CloseReason::Protocol(_)
        | CloseReason::TooManyChannels
        | CloseReason::ChannelFull
        | CloseReason::NotPublished
        | CloseReason::CutOff
        | CloseReason::Disconnected(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::websocket::frame::Opcode;

    fn closed(reason: CloseReason) -> (u16, String) {
        let frame = frame(reason, reason.code());
        assert_eq!((frame[0], usize::from(frame[1])), (0x88, frame.len() - 2));
        (u16::from_be_bytes([frame[2], frame[3]]), String::from_utf8(frame[4..].to_vec()).unwrap())
    }

    #[test]
    fn pings_are_empty_messages_in_data_frames() {
        assert_eq!(ping(Format::Json), frame::encode(Opcode::Text, b"{}"));
        assert_eq!(ping(Format::Protobuf), frame::encode(Opcode::Binary, b"\0"));
    }

    /// A client decides by the range alone whether it reconnects.
    #[test]
    fn every_reason_has_the_code_of_the_protocol() {
        for (reason, expected) in [
            (CloseReason::SlowConsumer, (3008, "slow")),
            (CloseReason::InsufficientState, (3010, "insufficient state")),
            (CloseReason::NoPong, (3012, "no pong")),
            (CloseReason::TooManyRequests, (3013, "too many requests")),
            (CloseReason::TooManyChannels, (1013, "too many channels")),
            (CloseReason::ChannelFull, (1013, "channel is full")),
            (CloseReason::CutOff, (1013, "cut off from the cluster")),
            (CloseReason::PermissionDenied, (3507, "permission denied")),
            (CloseReason::Shutdown, (3001, "shutdown")),
            (CloseReason::Shed, (3001, "shutdown")),
            (CloseReason::Aged, (3011, "force reconnect")),
            (CloseReason::Expired, (3005, "connection expired")),
            (CloseReason::Disconnected(CloseCode::FORCE_DISCONNECT), (3503, "force disconnect")),
            (CloseReason::Disconnected(CloseCode::from_wire(4000).unwrap()), (4000, "force disconnect")),
            (CloseReason::Internal, (3004, "internal server error")),
            (CloseReason::Centrifuge(DisconnectCode::Stale), (3502, "stale")),
            (CloseReason::Peer(CloseCode::from_wire(1000)), (1000, "")),
        ] {
            assert_eq!(closed(reason), (expected.0, expected.1.to_owned()), "{reason:?}");
        }
        assert_eq!(frame(CloseReason::Peer(None), None), frame::close(CloseReason::Peer(None), None));
    }
}
