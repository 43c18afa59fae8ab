//! TLS: the settings of encrypted targets.
//!
//! The server is on this machine, so any certificate is accepted: the price of encryption is measured, not the identity
//! of the server.

use crate::wire::target::Target;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName, UnixTime};
use rustls::{CipherSuite, ClientConfig, ClientConnection, DigitallySignedStruct, Error as TlsError, SignatureScheme};
use std::sync::Arc;
use thiserror::Error;

/// Settings of TLS handshakes.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub(crate) settings: Arc<ClientConfig>,
    pub(crate) name: ServerName<'static>,
}

/// Why TLS cannot be set up.
#[derive(Debug, Error)]
pub(crate) enum TlsSetupError {
    #[error("the host cannot be a server's name: {0}")]
    Name(#[from] InvalidDnsNameError),
    #[error("{0}")]
    Settings(#[from] TlsError),
}

impl Tls {
    /// Returns the settings for a target; nothing if it is not encrypted.
    ///
    /// # Errors
    ///
    /// Fails when the host cannot be a server's name.
    pub(crate) fn of(target: &Target) -> Result<Option<Self>, TlsSetupError> {
        if !target.is_encrypted {
            return Ok(None);
        }
        let host = target.host.rsplit_once(':').map_or(target.host.as_str(), |(host, _)| host);
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())?;
        let mut provider = ring::default_provider();
        // Browsers offer this suite first.
        provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
        let provider = Arc::new(provider);
        let settings = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let settings = settings?.dangerous();
        let verifier = Arc::new(NoVerifier(provider));
        let settings = settings.with_custom_certificate_verifier(verifier).with_no_client_auth();
        Ok(Some(Self { settings: Arc::new(settings), name }))
    }

    pub(super) fn begin(&self) -> Result<ClientConnection, TlsError> {
        ClientConnection::new(Arc::clone(&self.settings), self.name.clone())
    }
}

/// Accepts any certificate, as long as the peer holds its key.
#[derive(Debug)]
struct NoVerifier(Arc<CryptoProvider>);

impl ServerCertVerifier for NoVerifier {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
