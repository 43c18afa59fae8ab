//! Measured quantities: what workers count, and what the server and the kernel use.

pub(crate) mod histogram;

mod counts;
mod memory;

pub(crate) use counts::{CloseCount, Counts, Refusal};
pub(crate) use memory::Memory;
