//! An encryption: which certificate the hub shows where it speaks TLS itself.

use super::{Address, ConfigError};
use clap::Args;
use std::path::PathBuf;

/// The part of the configuration that says who the hub is.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "TLS")]
pub struct Encryption {
    /// PEM file with the chain of certificates, the server's own first, for addresses that begin with tls+. SIGHUP
    /// reads it and the key again: who connects from then on sees the new one, and nobody is cut off.
    #[arg(long, env = "THRONG_TLS_CERTIFICATE", value_name = "FILE")]
    pub tls_certificate: Option<PathBuf>,

    /// PEM file with the private key of --tls-certificate.
    #[arg(long, env = "THRONG_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
}

impl Encryption {
    /// Returns the files, if there are both.
    pub fn files(&self) -> Option<(&PathBuf, &PathBuf)> {
        self.tls_certificate.as_ref().zip(self.tls_key.as_ref())
    }

    pub(super) fn check<'a>(&self, mut addresses: impl Iterator<Item = &'a Address>) -> Result<(), ConfigError> {
        let encrypted = addresses.find(|address| address.is_encrypted);
        match (encrypted, &self.tls_certificate, &self.tls_key) {
            (Some(_), Some(_), Some(_)) | (None, None, None) => Ok(()),
            (Some(address), ..) => Err(ConfigError::NoCertificate { addr: address.to_string() }),
            (None, ..) => Err(ConfigError::NothingEncrypted),
        }
    }
}
