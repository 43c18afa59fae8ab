//! throng: a WebSocket fan-out hub.
//!
//! It holds very many connections and delivers each published message to every subscriber of a channel, at little more
//! than the cost of the system call. `ARCHITECTURE.md` is the map. The layers, from the bottom: [`protocol`], [`hub`],
//! [`engine`], [`session`], [`net`], `operation`, `http`, [`server`], [`cli`]. [`auth`], [`config`], [`metrics`] and
//! [`rate`] are leaves that any layer may use; [`top`] is a client of the HTTP interface and uses no other layer.
//!
//! To run a hub in a program of your own, start with [`server::Server`] and [`config::Config`]. The other public
//! modules are public for tests and benches.

pub mod protocol;

pub mod hub;

pub mod engine;

pub mod session;

pub mod net;

pub(crate) mod operation;

pub(crate) mod http;

pub mod server;

pub mod cli;

pub mod auth;
pub mod config;
pub mod metrics;
pub mod rate;
pub mod top;
