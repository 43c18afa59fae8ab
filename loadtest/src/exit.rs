//! Exit codes, and the errors that end a run without a verdict.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Every delivery was made, no connection was closed, every assertion holds.
pub(crate) const PASS: u8 = 0;
/// Something was lost, duplicated, reordered, corrupt or closed, or an assertion does not hold.
pub(crate) const FAIL: u8 = 1;
/// The command line or a file is wrong. `clap` uses the same code.
pub(crate) const USAGE: u8 = 2;
/// No server answers at the address, or not in time.
pub(crate) const UNREACHABLE: u8 = 3;
/// The generator was the bottleneck, so the figures are invalid.
pub(crate) const INVALID: u8 = 4;
/// The server answers but does not accept the connection.
pub(crate) const REFUSED: u8 = 5;
/// The server speaks another protocol, or breaks this one.
pub(crate) const PROTOCOL: u8 = 6;
/// The server went away during the run.
pub(crate) const GONE: u8 = 7;
/// The machine's limits are too small.
pub(crate) const LIMITS: u8 = 8;
/// An internal error of the generator, or a report that could not be written.
pub(crate) const BROKEN: u8 = 70;
/// Ctrl-C: 128 + SIGINT, as in a shell.
pub(crate) const INTERRUPTED: u8 = 130;

/// The table of `--help` and of the README.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    PASS: every delivery verified, no connection closed, every --assert holds
  1    FAIL: messages lost, duplicated, reordered, corrupt, merged or split;
       closed by the server; an --assert does not hold
  2    usage error: in a flag, a scenario file or a list of servers
  3    unreachable: no server answers at the address, or not in time
  4    INVALID: the generator was the bottleneck: more than 80 % CPU in an
       open-loop scenario, or too long without a core (--generator-waiting-max)
  5    refused: the server answers but does not accept connections
  6    protocol: not a WebSocket server, a violation of RFC 6455, or no record
       came back
  7    gone: the server closed all connections, or ended, during the run
  8    limits: this machine has too few descriptors or ports
  70   internal error: in the generator, or an output could not be written
  130  interrupted (SIGINT, SIGTERM or SIGHUP); the figures are partial";

/// Why there is no verdict.
#[derive(Clone, Debug, Deserialize, Error, Serialize)]
pub(crate) enum RunError {
    /// The command line or a file is wrong.
    #[error("{0}")]
    Usage(String),
    /// No server answers.
    #[error("{0}")]
    Unreachable(String),
    /// The server answers but does not accept.
    #[error("{0}")]
    Refused(String),
    /// The server speaks another protocol.
    #[error("{0}")]
    Protocol(String),
    /// The server went away.
    #[error("{0}")]
    Gone(String),
    /// A limit of this machine is too low.
    #[error("{0}")]
    Limits(String),
    /// An internal error.
    #[error("{0}")]
    Broken(String),
    /// Ctrl-C before the first measurement.
    #[error("interrupted before the first measurement")]
    Interrupted,
}

impl RunError {
    /// Returns the exit code.
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

    /// A terminal has 80 columns, and wrapped lines would not be indented.
    #[test]
    fn exit_codes_fit_a_terminal() {
        assert!(EXIT_CODES.lines().all(|line| line.chars().count() <= 80));
    }

    /// A script distinguishes the ends by their codes.
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
