//! TLS: which certificate is shown, how a connection is accepted, and how an encrypted connection reads and writes.

mod accept;
mod certificate;
mod encryption;

pub(crate) use accept::accept;
pub(crate) use certificate::Certificates;
pub use certificate::{Certificate, TlsError, load};
pub(crate) use encryption::Encryption;
