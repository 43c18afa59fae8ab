//! TLS: whose certificate is shown, how a handshake is made, and how an encrypted connection reads and writes.

mod certificate;
mod encryption;
mod handshake;

pub(super) use certificate::Certificates;
pub use certificate::{Certificate, TlsError, load};
pub(super) use encryption::Encryption;
pub(super) use handshake::greet;
