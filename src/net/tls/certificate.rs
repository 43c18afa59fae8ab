//! The certificate: loaded from files, checked before it is used, and replaced while connections stay open.

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use thiserror::Error;
use x509_cert::der::Decode;

/// Time before the expiry from which on the log has warnings. Automatic renewals happen earlier, so a certificate that
/// is this old was not renewed, and there is time to act.
const EXPIRY_WARNING: Duration = Duration::from_secs(7 * 24 * 3600);

/// Why a certificate or its key cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file does not exist, is not readable, or is not PEM.
    #[error("cannot use {flag} {}: {reason}", path.display())]
    File {
        /// The setting that names the file.
        flag: &'static str,
        /// The path of the file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The key does not belong to the certificate, or TLS does not support its kind.
    #[error("--tls-key {} does not fit --tls-certificate {}: {reason}", key.display(), certificate.display())]
    Unfit {
        /// The path of the key.
        key: PathBuf,
        /// The path of the chain.
        certificate: PathBuf,
        /// The error of the TLS library.
        reason: rustls::Error,
    },
    /// Clients would refuse the certificate.
    #[error(
        "--tls-certificate {} is no longer valid, since {}; renew it",
        path.display(),
        humantime::format_rfc3339_seconds(*not_after)
    )]
    Expired {
        /// The path of the chain.
        path: PathBuf,
        /// When it expired.
        not_after: SystemTime,
    },
}

/// A chain of certificates with its key. It exists only if the two belong together.
#[derive(Clone, Debug)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    path: PathBuf,
    not_after: SystemTime,
}

impl Certificate {
    /// Returns when the server's own certificate, the first of the chain, expires.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Logs when it expires; a warning if that is soon, or past.
    pub fn announce(&self, now: SystemTime) {
        let (path, not_after) = (self.path.display(), humantime::format_rfc3339_seconds(self.not_after));
        if now + EXPIRY_WARNING > self.not_after {
            tracing::warn!("the certificate {path} expires {not_after}; renew it, and send SIGHUP");
        } else {
            tracing::info!("the certificate {path} is valid until {not_after}");
        }
    }

    /// Checks that it has not expired.
    ///
    /// # Errors
    ///
    /// [`TlsError::Expired`] if it has.
    pub fn check_time(&self, now: SystemTime) -> Result<(), TlsError> {
        if now < self.not_after {
            return Ok(());
        }
        Err(TlsError::Expired { path: self.path.clone(), not_after: self.not_after })
    }
}

/// Loads a chain, the server's own certificate first, and its key, both as PEM.
///
/// # Errors
///
/// [`TlsError`] names the file, what is wrong, and what to do.
pub fn load(certificate: &Path, key: &Path) -> Result<Certificate, TlsError> {
    let file_error = |flag, path: &Path, reason: String| TlsError::File { flag, path: path.to_owned(), reason };
    let chain_error = |reason: String| file_error("--tls-certificate", certificate, reason);
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| chain_error(explain(&error)))?;
    let Some(first) = chain.first() else {
        return Err(chain_error("it contains no certificate; give the chain as PEM, the server's own first".into()));
    };
    let parsed = x509_cert::Certificate::from_der(first)
        .map_err(|error| chain_error(format!("its first certificate cannot be read: {error}")))?;
    let not_after = parsed.tbs_certificate().validity().not_after.to_system_time();
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| file_error("--tls-key", key, explain(&error)))?;
    let unfit = |reason| TlsError::Unfit { key: key.to_owned(), certificate: certificate.to_owned(), reason };
    let pair = CertifiedKey::from_der(chain, private, &provider()).map_err(unfit)?;
    Ok(Certificate { key: Arc::new(pair), path: certificate.to_owned(), not_after })
}

fn explain(error: &rustls::pki_types::pem::Error) -> String {
    use rustls::pki_types::pem::Error;
    match error {
        Error::Io(error) => error.to_string(),
        Error::NoItemsFound => "it contains no private key; give PEM, as in -----BEGIN PRIVATE KEY-----".to_owned(),
        other => format!("it is not valid PEM: {other}"),
    }
}

/// Named explicitly, because rustls panics at the first handshake if it has to choose between several providers, or has
/// none.
fn provider() -> CryptoProvider {
    ring::default_provider()
}

/// The certificate of future handshakes, which can be replaced, and the TLS configuration that uses it.
#[derive(Debug)]
pub(crate) struct Certificates {
    current: Arc<CurrentCertificate>,
    server_config: Arc<ServerConfig>,
}

#[derive(Debug)]
struct CurrentCertificate(ArcSwap<Certificate>);

impl Certificates {
    /// Configures TLS 1.2 and 1.3, HTTP/1.1, and session tickets whose keys are rotated automatically.
    ///
    /// # Errors
    ///
    /// The error of the TLS library, such as a system without randomness for the tickets.
    pub(crate) fn new(certificate: Certificate) -> Result<Self, rustls::Error> {
        let current = Arc::new(CurrentCertificate(ArcSwap::from_pointee(certificate)));
        let builder =
            ServerConfig::builder_with_provider(Arc::new(provider())).with_safe_default_protocol_versions()?;
        let mut server_config =
            builder.with_no_client_auth().with_cert_resolver(Arc::<CurrentCertificate>::clone(&current));
        server_config.alpn_protocols = vec![b"http/1.1".to_vec()];
        server_config.ticketer = ring::Ticketer::new()?;
        Ok(Self { current, server_config: Arc::new(server_config) })
    }

    pub(crate) fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server_config)
    }

    /// Uses another certificate for future handshakes. Open connections are not affected.
    pub(crate) fn replace(&self, certificate: Certificate) {
        self.current.0.store(Arc::new(certificate));
    }

    /// Returns when the current certificate expires.
    pub(crate) fn not_after(&self) -> SystemTime {
        self.current.0.load().not_after
    }
}

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().key))
    }
}
