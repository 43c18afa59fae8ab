//! throng: a WebSocket fan-out hub.
//!
//! Very many connections, each published message delivered to every subscriber of a channel, at the price of the
//! system call and little more. `ARCHITECTURE.md` is the map. The layers, from the bottom: [`protocol`], [`hub`],
//! [`session`], [`net`], [`operation`], [`http`], [`server`], [`cli`]. [`config`], [`metrics`] and [`rate`] are leaves
//! that any layer may use; [`top`] is a client of the HTTP interface and uses no other layer.

pub mod protocol;

pub mod hub;

pub mod session;

pub mod net;

pub mod operation;

pub mod http;

pub mod server;

pub mod cli;

pub mod config;
pub mod metrics;
pub mod rate;
pub mod top;
