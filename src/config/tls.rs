//! TLS: the certificate of encrypted addresses.

use super::address::Address;
use super::error::ConfigError;
use super::section::section;
use super::setting::DefaultValue::Unset;
use super::setting::Kind::Text;
use std::path::PathBuf;

section! {
    /// The certificate for addresses that begin with `tls+`.
    pub struct TlsConfig in "tls" (Once) {
        /// PEM file with the certificate chain, the server's own certificate first.
        ///
        /// Needed for addresses that begin with tls+. SIGHUP reads it and --tls-key again: new connections get the new
        /// certificate, open connections stay open.
        tls_certificate: Option<PathBuf> = Text("file"), Unset, NewConnections;

        /// PEM file with the private key of --tls-certificate.
        tls_key: Option<PathBuf> = Text("file"), Unset, NewConnections;
    }
}

impl TlsConfig {
    /// Returns the files of the certificate and of its key, if both are given.
    pub fn files(&self) -> Option<(&PathBuf, &PathBuf)> {
        self.tls_certificate.as_ref().zip(self.tls_key.as_ref())
    }

    pub(super) fn check<'a>(&self, mut addresses: impl Iterator<Item = &'a Address>) -> Result<(), ConfigError> {
        let encrypted = addresses.find(|address| address.is_encrypted);
        match (encrypted, &self.tls_certificate, &self.tls_key) {
            (Some(_), Some(_), Some(_)) | (None, None, None) => Ok(()),
            (Some(address), ..) => Err(ConfigError::NoCertificate { addr: address.to_string() }),
            (None, ..) => Err(ConfigError::UnusedCertificate),
        }
    }
}
