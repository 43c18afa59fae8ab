//! TLS as a client, towards servers with a certificate that the system trusts.

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Connects to servers.
pub(crate) struct Connector(Option<TlsConnector>);

impl Connector {
    /// Returns one that trusts the certificate authorities of the system, or of `SSL_CERT_FILE`.
    pub(crate) fn with_native_roots() -> Self {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        let (_, unusable) = roots.add_parsable_certificates(found.certs);
        tracing::debug!(usable = roots.len(), unusable, errors = found.errors.len(), "roots are read");
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        // A provider with a cipher suite has a version that is safe; otherwise no connection can be made.
        let config = config.ok().map(|config| config.with_root_certificates(roots).with_no_client_auth());
        Self(config.map(|config| Arc::new(config).into()))
    }

    /// Makes a handshake with the server of this name.
    ///
    /// # Errors
    ///
    /// The certificate is for another name, or not trusted; or the connection fails.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future closes the connection.
    pub(crate) async fn connect(&self, name: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let Some(connector) = &self.0 else { return Err(io::ErrorKind::Unsupported.into()) };
        connector.connect(name, stream).await
    }
}
