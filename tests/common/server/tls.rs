//! Certificates of tests, and clients that believe them.

use super::within;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use throng::config::Config;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What the certificates are for.
pub(crate) const NAME: &str = "throng.test";

/// An encrypted stream. Boxed: it is large, and so would be all that has it.
pub(crate) type Stream = Box<TlsStream<TcpStream>>;

/// A certificate and its key in files that are gone with the test.
pub(crate) struct Identity {
    folder: tempfile::TempDir,
    pub(crate) certificate: CertificateDer<'static>,
}

impl Identity {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certificate = write(&folder, 4096);
        Self { folder, certificate }
    }

    /// Puts another certificate and key into the same files, valid to the end of that year.
    pub(crate) fn renew(&mut self, year: i32) {
        self.certificate = write(&self.folder, year);
    }

    /// The PEM file of the chain.
    pub(crate) fn chain(&self) -> PathBuf {
        self.folder.path().join("chain.pem")
    }

    /// The PEM file of the key.
    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// Has a server use it, at an encrypted address.
    pub(crate) fn configure(&self, config: &mut Config) {
        config.addr = vec!["tls+127.0.0.1:0".parse().unwrap()];
        (config.tls.tls_certificate, config.tls.tls_key) = (Some(self.chain()), Some(self.key()));
    }

    /// Returns a client that believes this very certificate.
    pub(crate) fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let mut client = builder.with_root_certificates(roots).with_no_client_auth();
        client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(client)
    }

    /// Makes a handshake of any version.
    pub(crate) async fn connect(&self, addr: SocketAddr) -> Stream {
        connect(&self.client(rustls::ALL_VERSIONS), addr).await.unwrap()
    }
}

fn write(folder: &tempfile::TempDir, year: i32) -> CertificateDer<'static> {
    let mut parameters = rcgen::CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    parameters.not_after = rcgen::date_time_ymd(year, 12, 31);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    std::fs::write(folder.path().join("chain.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
    certificate.der().clone()
}

/// Makes a handshake.
pub(crate) async fn connect(client: &Arc<ClientConfig>, addr: SocketAddr) -> std::io::Result<Stream> {
    over(client, TcpStream::connect(addr).await?).await
}

/// Makes a handshake over a connection.
pub(crate) async fn over(client: &Arc<ClientConfig>, stream: TcpStream) -> std::io::Result<Stream> {
    let name = ServerName::try_from(NAME).unwrap();
    within(TlsConnector::from(Arc::clone(client)).connect(name, stream)).await.map(Box::new)
}
