//! The ways a run ends without a verdict, and the exit codes of all ends.

use thiserror::Error;

/// Every delivery was made and nobody was closed.
pub(crate) const PASS: u8 = 0;
/// Something was lost, duplicated, reordered, corrupt or closed.
pub(crate) const FAIL: u8 = 1;
/// The command line can not be carried out. `clap` uses the same code.
pub(crate) const USAGE: u8 = 2;
/// There is no server, or it refuses the handshake, or it speaks another protocol.
pub(crate) const SERVER: u8 = 3;
/// The generator was the bottleneck, so the figures say nothing.
pub(crate) const INVALID: u8 = 4;
/// Ctrl-C, as a shell counts it.
pub(crate) const INTERRUPTED: u8 = 130;

/// Why there is no verdict.
#[derive(Debug, Error)]
pub(crate) enum Stop {
    /// The command line asks for what can not be done.
    #[error("{0}")]
    Usage(String),
    /// The server can not be measured.
    #[error("{0}")]
    Server(String),
    /// Ctrl-C before there was anything to report.
    #[error("interrupted before the first measurement")]
    Interrupted,
}

impl Stop {
    /// Maps an end to its exit code.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Server(_) => SERVER,
            Self::Interrupted => INTERRUPTED,
        }
    }
}
