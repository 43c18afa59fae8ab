//! The tasks of a worker: one for each request of the coordinator.

pub(super) mod connect;
pub(super) mod drain;
pub(super) mod load;
pub(super) mod received;
pub(super) mod stall;
pub(super) mod storm;
