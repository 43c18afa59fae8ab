//! The network layer: sockets, TLS, readiness, the addresses of peers, and how many may connect.
//!
//! [`socket`], [`runtime`] and [`tls`] are public for tests, benches and the command line.

pub(crate) mod address;
pub(crate) mod admission;
pub(crate) mod endpoint;
pub(crate) mod proxy_protocol;

pub(crate) mod driver;
pub(crate) mod reader;
pub mod runtime;
pub mod socket;

pub(crate) mod readiness;
pub(crate) mod tcp_info;
pub mod tls;
