//! The transport layer: sockets, HTTP, time, and what drives the shards.

mod admin;
mod admission;
mod client;
mod driver;
mod exposition;
mod handshake;
mod http;
mod lifecycle;
mod listener;
mod memory;
mod metrics_format;
mod origin;
mod pace;
mod pages;
mod process;
mod proxy;
mod reader;
mod reserve;
pub mod runtime;
mod serve;
pub mod server;
pub mod socket;
mod steering;
mod tcp_info;
pub mod tls;
mod trace;
mod upgrade;
mod watchdog;

pub use server::{Server, ServerError, Stop};
pub use steering::Steering;
