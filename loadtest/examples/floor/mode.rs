//! A mode: when frames are sent, and how far a client may lag.

use crate::fan_out::LAG_BYTES_MAX;
use mio::Interest;

/// Slices that `writev` takes at most, `IOV_MAX` of Linux.
pub(crate) const FRAMES_MAX: usize = 1024;

/// Bytes that are gathered at most before a turn ends, so that a client that sends without a pause fills no memory.
/// Some 3,900 messages of the generator's usual size: it never has as many in flight.
const BATCH_BYTES_MAX: usize = 256 << 10;

/// When frames are sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mode {
    /// Every message at once.
    Write,
    /// This many at once, or those that a turn brought.
    Writev(usize),
    /// Those that a turn brought.
    Batch,
    /// Nothing: the answer to the handshake is all.
    Handshake,
}

impl Mode {
    /// Whether a batch of this size has to be sent before the end of the turn.
    pub(crate) const fn is_due(self, frames: usize, bytes: usize) -> bool {
        match self {
            Self::Write => true,
            Self::Writev(frames_max) => frames >= frames_max,
            Self::Batch | Self::Handshake => bytes >= BATCH_BYTES_MAX,
        }
    }

    /// Returns the bytes that may wait for a client whose socket is full.
    pub(crate) const fn lag_bytes_max(self) -> usize {
        match self {
            Self::Batch => LAG_BYTES_MAX,
            Self::Write | Self::Writev(_) | Self::Handshake => 0,
        }
    }

    /// Returns the events to watch a socket for. Only a client that may lag needs to know that there is room again.
    pub(crate) fn interest(self) -> Interest {
        if self.lag_bytes_max() > 0 { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE }
    }
}
