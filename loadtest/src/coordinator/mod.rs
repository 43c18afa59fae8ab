//! The coordinator: drives the workers through a scenario, watches the server meanwhile, and keeps the findings.
//!
//! It does nothing that is timed: publishing, reading and stamping are the workers'. So it may read `/proc` and draw
//! progress without affecting a latency.

// The state of a run, and what is done with it.
mod run;

mod connect;
mod window;

mod accounting;

// Parts of that state.
pub(crate) mod fleet;

mod progress;
mod timeline;

pub(crate) use run::Coordinator;
pub(crate) use window::{Window, time_of};
