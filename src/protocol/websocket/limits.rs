//! The limits on what a client may send.

/// What a client may send at most.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DecoderLimits {
    /// Bytes of one message, the sum of its fragments; exactly as many are allowed. 65,536 by default: what one
    /// coalesced frame of ours holds. Beyond it the connection ends with 1009.
    pub message_bytes_max: usize,
    /// Frames of one message, empty ones included. 64 by default: browsers send one, and 64 of 1 KiB make the longest
    /// message. Beyond it the connection ends with 1008.
    pub fragments_max: u32,
}

impl Default for DecoderLimits {
    fn default() -> Self {
        Self { message_bytes_max: 65_536, fragments_max: 65_536 }
    }
}
