//! A certificate: read from files, judged before it is used, and replaced while connections go on.

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

/// How long before its end a certificate is warned of: what renewals leave at least, and time to act.
const WARNED_BEFORE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Why files can not be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file is not there, not readable, or not PEM.
    #[error("can not use {flag} {}: {reason}", path.display())]
    File {
        /// Which setting names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The two do not belong together, or are of a kind that TLS does not have.
    #[error("--tls-key {} does not fit --tls-certificate {}: {reason}", key.display(), certificate.display())]
    Unfit {
        /// The file with the key.
        key: PathBuf,
        /// The file with the chain.
        certificate: PathBuf,
        /// What is wrong.
        reason: rustls::Error,
    },
    /// Nobody would believe it.
    #[error(
        "--tls-certificate {} is no longer valid, since {}; renew it",
        path.display(),
        humantime::format_rfc3339_seconds(*not_after)
    )]
    Expired {
        /// The file.
        path: PathBuf,
        /// The end of its life.
        not_after: SystemTime,
    },
}

/// A chain with its key, and how long it holds.
#[derive(Clone, Debug)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    path: PathBuf,
    not_after: SystemTime,
}

impl Certificate {
    /// Returns when the server's own certificate ends.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Says how long it holds, and warns when that is not long.
    pub fn announce(&self, now: SystemTime) {
        let (path, not_after) = (self.path.display(), humantime::format_rfc3339_seconds(self.not_after));
        if now + WARNED_BEFORE > self.not_after {
            tracing::warn!("the certificate {path} ends {not_after}; renew it, and send SIGHUP");
        } else {
            tracing::info!("the certificate {path} is valid until {not_after}");
        }
    }

    /// Refuses a certificate that has ended.
    ///
    /// # Errors
    ///
    /// [`TlsError::Expired`].
    pub fn check_time(&self, now: SystemTime) -> Result<(), TlsError> {
        if now < self.not_after {
            return Ok(());
        }
        Err(TlsError::Expired { path: self.path.clone(), not_after: self.not_after })
    }
}

/// Reads a chain, the server's own certificate first, and its key, both PEM.
///
/// # Errors
///
/// [`TlsError`] names the file, what is wrong, and what to do.
pub fn load(certificate: &Path, key: &Path) -> Result<Certificate, TlsError> {
    let refused = |flag, path: &Path, reason: String| TlsError::File { flag, path: path.to_owned(), reason };
    let refused_chain = |reason: String| refused("--tls-certificate", certificate, reason);
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| refused_chain(explain(&error)))?;
    let Some(first) = chain.first() else {
        return Err(refused_chain(
            "there is no certificate in it; give the chain as PEM, the server's own first".into(),
        ));
    };
    let parsed = x509_cert::Certificate::from_der(first)
        .map_err(|error| refused_chain(format!("its first certificate can not be read: {error}")))?;
    let not_after = parsed.tbs_certificate().validity().not_after.to_system_time();
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| refused("--tls-key", key, explain(&error)))?;
    let unfit = |reason| TlsError::Unfit { key: key.to_owned(), certificate: certificate.to_owned(), reason };
    let pair = CertifiedKey::from_der(chain, private, &provider()).map_err(unfit)?;
    Ok(Certificate { key: Arc::new(pair), path: certificate.to_owned(), not_after })
}

fn explain(error: &rustls::pki_types::pem::Error) -> String {
    use rustls::pki_types::pem::Error;
    match error {
        Error::Io(error) => error.to_string(),
        Error::NoItemsFound => "there is none in it; give PEM, as in -----BEGIN ...-----".to_owned(),
        other => format!("it is no valid PEM: {other}"),
    }
}

/// The only one in the tree, and named: two of them, or none, would be a panic at the first handshake.
fn provider() -> CryptoProvider {
    ring::default_provider()
}

/// The certificate that the next handshake shows, and how handshakes are made.
#[derive(Debug)]
pub(crate) struct Certificates {
    current: Arc<Current>,
    settings: Arc<ServerConfig>,
}

#[derive(Debug)]
struct Current(ArcSwap<Certificate>);

impl Certificates {
    /// Begins with a certificate: TLS 1.2 and 1.3, HTTP/1.1, and session tickets whose keys change by themselves.
    ///
    /// # Errors
    ///
    /// When the system has no randomness for the tickets.
    pub(crate) fn new(certificate: Certificate) -> Result<Self, rustls::Error> {
        let current = Arc::new(Current(ArcSwap::from_pointee(certificate)));
        let builder =
            ServerConfig::builder_with_provider(Arc::new(provider())).with_safe_default_protocol_versions()?;
        let mut settings = builder.with_no_client_auth().with_cert_resolver(Arc::<Current>::clone(&current));
        settings.alpn_protocols = vec![b"http/1.1".to_vec()];
        settings.ticketer = ring::Ticketer::new()?;
        Ok(Self { current, settings: Arc::new(settings) })
    }

    pub(crate) fn settings(&self) -> &Arc<ServerConfig> {
        &self.settings
    }

    /// Shows another one from here on. Who is connected notices nothing.
    pub(crate) fn replace(&self, certificate: Certificate) {
        self.current.0.store(Arc::new(certificate));
    }

    /// Returns when the current one ends.
    pub(crate) fn not_after(&self) -> SystemTime {
        self.current.0.load().not_after
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().key))
    }
}
