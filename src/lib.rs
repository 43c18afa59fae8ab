//! throng: a WebSocket fan-out hub.
//!
//! Very many connections, each published message delivered to every subscriber of a channel, at the price of the
//! system call and little more. `ARCHITECTURE.md` is the map; the layers, from the bottom: [`protocol`], [`hub`],

pub mod protocol;
