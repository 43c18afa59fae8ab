//! The errors of a server.

use crate::net::tls::TlsError;
use std::io;
use thiserror::Error;

/// Why a server did not start, or stopped by itself.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The address does not belong to this machine, or is in use.
    #[error("cannot listen on {addr}: {error}; choose another address with --addr HOST:PORT")]
    Listen {
        /// The address as configured.
        addr: String,
        /// The error of the system.
        error: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system has no randomness for TLS, or the TLS library does not support it.
    #[error("cannot set up TLS: {0}")]
    TlsSetup(#[from] rustls::Error),
    /// A shard failed again after too many restarts.
    #[error("a shard failed more than five times within a minute; see the log for the panics")]
    ShardsFailing,
}

/// Why new settings were not applied.
#[derive(Debug, Error)]
pub enum ReloadError {
    /// The certificate or its key cannot be used, or has expired.
    #[error(transparent)]
    Tls(#[from] TlsError),
}
