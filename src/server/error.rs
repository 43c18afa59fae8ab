//! The errors of a server.

use crate::auth::KeyError;
use crate::config::{Address, SocketAddress};
use crate::engine::nats::Unusable;
use crate::engine::nats::link::LinkError;
use crate::net::tls::TlsError;
use std::io;
use thiserror::Error;

/// Why a server did not start, or stopped by itself.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The address does not belong to this machine, or is in use.
    #[error("cannot listen on {addr}: {error}; {}", advice(addr, flag, error))]
    Listen {
        /// The address as configured.
        addr: Address,
        /// The flag of the setting that has it.
        flag: &'static str,
        /// The error of the system.
        error: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A key of tokens cannot be used.
    #[error(transparent)]
    TokenKey(#[from] KeyError),
    /// The system has no randomness for TLS, or the TLS library does not support it.
    #[error("cannot set up TLS: {0}")]
    TlsSetup(#[from] rustls::Error),
    /// A file for the connections to NATS cannot be used.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The streams of the cluster are not what the configuration says.
    #[error("the cluster cannot be used as it is:\n{0}")]
    Cluster(Unusable),
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
    /// A key of tokens cannot be used.
    #[error(transparent)]
    TokenKey(#[from] KeyError),
}

/// Returns what to do about an address that cannot be opened.
fn advice(addr: &Address, flag: &str, error: &io::Error) -> String {
    match (&addr.socket, error.kind()) {
        (SocketAddress::Unix(_), io::ErrorKind::NotFound) => {
            format!("make the folder first, or choose another path with {flag} unix:PATH")
        }
        (SocketAddress::Unix(_), _) => format!("choose another path with {flag} unix:PATH"),
        (SocketAddress::Tcp(_, port), io::ErrorKind::PermissionDenied) if *port < 1024 => format!(
            "ports below 1024 need a privilege: give the program CAP_NET_BIND_SERVICE, or choose another address with \
             {flag} HOST:PORT"
        ),
        (SocketAddress::Tcp(..), _) => format!("choose another address with {flag} HOST:PORT"),
    }
}
