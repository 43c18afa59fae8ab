//! The transport layer: sockets, HTTP, time, and what drives the shards.

mod driver;
mod exposition;
mod handshake;
mod http;
mod listener;
mod origin;
mod pages;
mod process;
mod reader;
pub mod runtime;
mod serve;
pub mod server;
pub mod socket;
mod upgrade;

pub use server::{Server, ServerError};
