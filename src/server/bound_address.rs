//! A bound address: where a server listens, as the system has it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// An address on which a server listens, with the port that the system chose for port 0.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BoundAddress {
    /// The socket.
    pub socket: BoundSocket,
    /// Connections begin with a PROXY protocol header.
    pub has_proxy_protocol: bool,
    /// Connections use TLS.
    pub is_encrypted: bool,
    /// It is for operators and their tools, not for clients.
    pub is_internal: bool,
}

/// The socket of a bound address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BoundSocket {
    /// A TCP socket.
    Tcp {
        /// Address and port.
        addr: SocketAddr,
        /// An IPv6 socket that takes IPv4 connections too.
        is_dual_stack: bool,
    },
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for BoundAddress {
    /// Writes it as a setting would have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proxy = if self.has_proxy_protocol { "proxy+" } else { "" };
        let tls = if self.is_encrypted { "tls+" } else { "" };
        write!(f, "{proxy}{tls}")?;
        match &self.socket {
            BoundSocket::Tcp { addr, is_dual_stack: true } if addr.ip().is_unspecified() => {
                write!(f, ":{}", addr.port())
            }
            BoundSocket::Tcp { addr, .. } => write!(f, "{addr}"),
            BoundSocket::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
