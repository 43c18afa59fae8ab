//! Why a certificate or its key cannot be used, and what to do about it.

use std::path::PathBuf;
use std::time::SystemTime;
use thiserror::Error;

/// Why a certificate or its key cannot be used.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum TlsError {
    /// A file does not exist, is not readable, or does not hold what it has to.
    #[error("cannot use {flag} {}: {reason}", path.display())]
    File {
        /// The setting that names the file.
        flag: &'static str,
        /// The path of the file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The key does not belong to the certificate.
    #[error("--tls-key {} does not fit --tls-certificate {}: {reason}", key.display(), certificate.display())]
    Unfit {
        /// The path of the key.
        key: PathBuf,
        /// The path of the chain.
        certificate: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// Clients would refuse the certificate, because it has ended.
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
    /// Clients would refuse the certificate, because it has not begun.
    #[error(
        "--tls-certificate {} is not valid yet, only from {} on; wait, set the clock of this machine, or have one \
         issued that is valid now",
        path.display(),
        humantime::format_rfc3339_seconds(*not_before)
    )]
    NotYetValid {
        /// The path of the chain.
        path: PathBuf,
        /// When it begins.
        not_before: SystemTime,
    },
}
