//! TLS: the certificate, the handshake, and reading and writing on an encrypted connection.

mod accept;
mod certificate;
mod chain;
mod connector;
mod encryption;
mod error;
mod files;

pub(crate) use accept::accept;
pub(crate) use certificate::Certificates;
pub use certificate::{Certificate, load};
pub(crate) use connector::Connector;
pub(crate) use encryption::Encryption;
pub use error::TlsError;
