//! throng: a WebSocket fan-out hub.
//!
//! Very many connections, each published message delivered to every subscriber of a channel, at the price of the
//! system call and little more. `ARCHITECTURE.md` is the map. The layers, from the bottom: [`protocol`], [`hub`],
//! [`session`], [`transport`], [`cli`]; [`config`] and [`metrics`] are leaves beside them, [`top`] looks from outside.

pub mod protocol;

pub mod hub;

pub mod session;

pub mod transport;

pub mod cli;

pub mod config;
pub mod metrics;
pub mod top;
