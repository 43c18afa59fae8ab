//! The certificate: loaded from files, checked before it is used, and replaced while connections stay open.

use super::chain::{self, Chain};
use super::error::TlsError;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Time before the expiry from which on the log has warnings. Automatic renewals happen earlier, so a certificate that
/// is this old was not renewed, and there is time to act.
const EXPIRY_WARNING: Duration = Duration::from_secs(7 * 24 * 3600);

/// A chain of certificates with its key. It exists only if the two belong together.
#[derive(Clone, Debug)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    path: PathBuf,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Certificate {
    /// Returns when the server's own certificate, the first of the chain, expires.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Logs when it expires; a warning if that is soon, or past, or if it is not valid yet.
    pub fn announce(&self, now: SystemTime) {
        let (path, not_after) = (self.path.display(), humantime::format_rfc3339_seconds(self.not_after));
        if now < self.not_before {
            let not_before = humantime::format_rfc3339_seconds(self.not_before);
            tracing::warn!("the certificate {path} is not valid before {not_before}: until then clients refuse it");
        }
        if now + EXPIRY_WARNING > self.not_after {
            tracing::warn!("the certificate {path} expires {not_after}; renew it, and send SIGHUP");
        } else {
            tracing::info!("the certificate {path} is valid until {not_after}");
        }
    }

    /// Checks that it is valid now.
    ///
    /// # Errors
    ///
    /// [`TlsError::Expired`] or [`TlsError::NotYetValid`] if it is not.
    pub fn check_time(&self, now: SystemTime) -> Result<(), TlsError> {
        if now < self.not_before {
            return Err(TlsError::NotYetValid { path: self.path.clone(), not_before: self.not_before });
        }
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
    let Chain { key: pair, own } = chain::load(certificate, key, &provider())?;
    let validity = own.tbs_certificate().validity();
    let (not_before, not_after) = (validity.not_before.to_system_time(), validity.not_after.to_system_time());
    Ok(Certificate { key: Arc::new(pair), path: certificate.to_owned(), not_before, not_after })
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
