//! The operation layer: what the process knows of itself, from its settings to its stages and its memory.

pub(crate) mod lifecycle;
pub(crate) mod memory;
pub(crate) mod operator_key;
pub(crate) mod pace;
pub(crate) mod process;
pub(crate) mod state;
pub(crate) mod watchdog;
