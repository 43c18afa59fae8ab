//! An endpoint: the properties of a listening address that its connections share.

use super::tls::Certificates;
use crate::config::{Address, SocketAddress};
use rustls::ServerConfig;
use std::sync::Arc;

/// The properties of a listening address.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "four independent properties of one address")]
pub(crate) struct Endpoint {
    /// The address is for operators and their tools, not for clients.
    pub(crate) is_internal: bool,
    /// Every connection has to begin with a PROXY header.
    pub(crate) has_proxy_protocol: bool,
    /// Only this machine can reach the address.
    pub(crate) is_local: bool,
    /// The address is a path, which no browser can reach.
    pub(crate) is_unix: bool,
    /// `None` if the address is not encrypted.
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

impl Endpoint {
    pub(crate) fn new(address: &Address, is_internal: bool, certificates: Option<&Certificates>) -> Self {
        let tls = certificates.filter(|_| address.is_encrypted).map(Certificates::server_config);
        let is_unix = matches!(address.socket, SocketAddress::Unix(_));
        Self { is_internal, has_proxy_protocol: address.has_proxy_protocol, is_local: address.is_local(), is_unix, tls }
    }
}
