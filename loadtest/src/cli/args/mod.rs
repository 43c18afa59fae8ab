//! The flags, by what they belong to.

pub(super) mod disturbance;
pub(super) mod scale;
pub(super) mod steady;

pub(crate) mod api;
pub(crate) mod common;
pub(crate) mod shared;
