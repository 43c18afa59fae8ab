//! WebSocket upgrades: which requests become one, and how the socket leaves HTTP.

pub(crate) mod handshake;
mod origin;
pub(crate) mod upgrade;
