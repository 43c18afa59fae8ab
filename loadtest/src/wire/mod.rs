//! The wire: bytes to meaning and back, without I/O.

pub(crate) mod api;
pub(crate) mod handshake;
pub(crate) mod http;
pub(crate) mod protocol;
pub(crate) mod reader;
pub(crate) mod record;
pub(crate) mod target;
