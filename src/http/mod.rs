//! The HTTP layer: requests and responses, up to the upgrade to a WebSocket.

pub(crate) mod api;
pub(crate) mod events;
pub(crate) mod hooks;
pub(crate) mod jwks;
pub(crate) mod progress;
pub(crate) mod service;
pub(crate) mod websocket;

mod admin;
mod health;
mod metrics;
mod metrics_format;
mod pages;
mod process_metrics;

mod client_address;
mod error;
mod host;
mod methods;
mod outbound;
mod response;
mod trace;
