//! One service of many hubs: real hubs, real NATS servers, and a checker that judges what everybody saw.
//!
//! The quick ones run with `./test`. Those that take long, or need network namespaces, are ignored there:
//! `tests/faults` runs all of them.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "what a fault did is part of the result of tests/faults")]

#[path = "../common/server/mod.rs"]
mod server;

mod administrator;
mod chat;
mod checker;
mod clocks;
mod fail_over;
mod hubs;
mod log;
mod many;
mod moves;
mod nats;
mod nats_clocks;
mod network;
mod order;
mod publisher;
mod scene;
mod sdk;
mod start;
mod storage;
mod subscriber;
mod vdso;
