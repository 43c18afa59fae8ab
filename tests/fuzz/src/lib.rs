//! What holds for all bytes: the checks of the fuzz targets.

// Its unit tests and examples run where they are from.
#![cfg(not(any(test, doctest)))]

mod commands;
mod delta;
mod frames;
// Of the whole library only this is instrumented and optimized, which takes seconds instead of minutes.
#[path = "../../../src/protocol/mod.rs"]
pub mod protocol;

pub use commands::check as commands;
pub use delta::check as delta;
pub use frames::check as frames;
