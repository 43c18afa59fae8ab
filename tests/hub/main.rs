//! What the hub does, with simulated connections and a simulated clock.
//!
//! One binary for all of it: each further one would compile `common/` again and be linked.

#[path = "../common/simulation/mod.rs"]
mod simulation;

mod against_model;
mod batching;
mod claims;
mod closing;
mod followed;
mod history;
mod inspection;
mod log_against_queue;
mod occupancy;
mod outbox_against_queue;
mod presence;
mod replies;
mod slow;
mod tuning;
