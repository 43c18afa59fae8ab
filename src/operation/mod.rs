//! The operation layer: what the process knows about itself, from its settings to its lifecycle and memory.

pub(crate) mod state;

pub(crate) mod lifecycle;
pub(crate) mod pace;

mod cgroup;
pub(crate) mod histories;
pub(crate) mod memory;
pub(crate) mod occupancy;
pub(crate) mod process;
pub(crate) mod tell;
mod usage;
pub(crate) mod watchdog;

pub(crate) mod api_key;
pub(crate) mod cluster;
pub(crate) mod environment;
pub(crate) mod expiry;
pub(crate) mod idempotency;
pub(crate) mod operator_key;
pub(crate) mod tokens;
