//! The WebSocket upgrade: which requests become a WebSocket, and how the socket is taken over from HTTP.

mod credentials;
pub(crate) mod handshake;
mod origin;
mod start;
pub(crate) mod upgrade;
