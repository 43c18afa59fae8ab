//! An endpoint: what all connections of one listening address have in common.

use super::tls::Certificates;
use crate::config::Address;
use rustls::ServerConfig;
use std::sync::Arc;

/// What all who come in at one address share.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// For operators and their tools; clients go elsewhere.
    pub(crate) is_internal: bool,
    /// Every connection has to begin with a header of the PROXY protocol.
    pub(crate) has_proxy_protocol: bool,
    /// How TLS handshakes are made, where there are any.
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

impl Endpoint {
    pub(crate) fn new(address: &Address, is_internal: bool, certificates: Option<&Certificates>) -> Self {
        let tls = certificates.filter(|_| address.is_encrypted).map(|one| Arc::clone(one.settings()));
        Self { is_internal, has_proxy_protocol: address.has_proxy_protocol, tls }
    }
}
