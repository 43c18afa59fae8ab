//! TLS: the certificate, the handshake, and reading and writing on an encrypted connection.

mod accept;
mod certificate;
mod encryption;

pub(crate) use accept::accept;
pub(crate) use certificate::Certificates;
pub use certificate::{Certificate, TlsError, load};
pub(crate) use encryption::Encryption;
