//! A simulated hub: shards, sockets and peers in one thread, with a clock that moves when it is told to.

#![allow(dead_code, unused_imports, reason = "each test uses its part")]
#![expect(clippy::panic, clippy::unwrap_used, reason = "what fails here fails the test")]

mod deltas;
pub(crate) mod followed;
pub(crate) mod lines;
pub(crate) mod lives;
pub(crate) mod members;
pub(crate) mod peer;
pub(crate) mod pipe;
pub(crate) mod seed;
pub(crate) mod simulated_hub;

pub(crate) use lines::published_line;
pub(crate) use lives::{Life, Line};
pub(crate) use members::{Members, View};
pub(crate) use peer::Peer;
pub(crate) use pipe::{End, Pipe};
pub(crate) use seed::seeds;
pub(crate) use simulated_hub::SimulatedHub;
