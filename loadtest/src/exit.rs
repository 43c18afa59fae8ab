//! The ways a run ends without a verdict, and the exit codes of all ends.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Every delivery was made, nobody was closed, every assertion holds.
pub(crate) const PASS: u8 = 0;
/// Something was lost, duplicated, reordered, corrupt or closed, or an assertion does not hold.
pub(crate) const FAIL: u8 = 1;
/// The command line, or a file, asks for what can not be done. `clap` uses the same code.
pub(crate) const USAGE: u8 = 2;
/// Nothing answers at the address, or not in time.
pub(crate) const UNREACHABLE: u8 = 3;
/// The generator was the bottleneck, so the figures say nothing.
pub(crate) const INVALID: u8 = 4;
/// The server answers and does not want the connection.
pub(crate) const REFUSED: u8 = 5;
/// The server speaks another protocol, or breaks this one.
pub(crate) const PROTOCOL: u8 = 6;
/// The server was there and went away.
pub(crate) const GONE: u8 = 7;
/// The machine's limits are too small.
pub(crate) const LIMITS: u8 = 8;
/// A fault of the generator itself, or of the files it writes.
pub(crate) const BROKEN: u8 = 70;
/// Ctrl-C, as a shell counts it.
pub(crate) const INTERRUPTED: u8 = 130;

/// The table of `--help` and of the README.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    PASS: every delivery verified, nobody closed, every --assert holds
  1    FAIL: lost, duplicated, reordered, corrupt, joined or split; closed by the server; an --assert does not hold
  2    bad usage: a flag, a scenario file, a list of servers
  3    no server: nothing answers at the address, or not in time
  4    INVALID: the generator was the bottleneck (more than 80 % CPU in an open-loop scenario)
  5    refused: the server answers and does not accept connections
  6    another protocol: the server is no WebSocket server, breaks RFC 6455, or answers no record with a record
  7    gone: the server closed everything, or ended, half-way
  8    limits: descriptors or ports of this machine are too few
  70   broken: a fault of the generator, or a report that could not be written
  130  interrupted; the figures are partial";

/// Why there is no verdict.
#[derive(Clone, Debug, Deserialize, Error, Serialize)]
pub(crate) enum RunError {
    /// The command line or a file asks for what can not be done.
    #[error("{0}")]
    Usage(String),
    /// Nothing answers.
    #[error("{0}")]
    Unreachable(String),
    /// It answers, and does not accept.
    #[error("{0}")]
    Refused(String),
    /// It speaks something else.
    #[error("{0}")]
    Protocol(String),
    /// It went away.
    #[error("{0}")]
    Gone(String),
    /// This machine is too small.
    #[error("{0}")]
    Limits(String),
    /// Our own fault.
    #[error("{0}")]
    Broken(String),
    /// Ctrl-C before there was anything to report.
    #[error("interrupted before the first measurement")]
    Interrupted,
}

impl RunError {
    /// Maps an end to its exit code.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Unreachable(_) => UNREACHABLE,
            Self::Refused(_) => REFUSED,
            Self::Protocol(_) => PROTOCOL,
            Self::Gone(_) => GONE,
            Self::Limits(_) => LIMITS,
            Self::Broken(_) => BROKEN,
            Self::Interrupted => INTERRUPTED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The README promises what `--help` does.
    #[test]
    fn readme_has_the_exit_codes() {
        assert!(include_str!("../README.md").contains(EXIT_CODES), "the README's exit codes have to be:\n{EXIT_CODES}");
    }

    /// A script tells the ends apart by their codes.
    #[test]
    fn every_end_has_a_code_of_its_own() {
        let mut codes =
            vec![PASS, FAIL, USAGE, UNREACHABLE, INVALID, REFUSED, PROTOCOL, GONE, LIMITS, BROKEN, INTERRUPTED];
        assert!(codes.iter().all(|code| EXIT_CODES.contains(&format!("\n  {code:<3}  "))), "{codes:?}");
        let len = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), len);
    }
}
