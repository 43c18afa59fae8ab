//! The wire: bytes to meaning and back, without I/O.

pub(crate) mod api;
pub(crate) mod centrifuge;
pub(crate) mod handshake;
pub(crate) mod http;
pub(crate) mod meaning;
mod protobuf;
pub(crate) mod protocol;
pub(crate) mod reader;
pub(crate) mod record;
pub(crate) mod shape;
pub(crate) mod target;
