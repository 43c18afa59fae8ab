//! An interrupt: Ctrl-C, or another signal to end, recorded instead of obeyed at once.
//!
//! Children live in process groups of their own, so a terminal does not signal them; waits look here instead.

use crate::exit::RunError;
use crate::signals;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the program was asked to end.
#[derive(Clone, Debug, Default)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Notes the signals that would otherwise end the program and leave its children behind.
    ///
    /// # Errors
    ///
    /// Fails when the system refuses a handler.
    pub(super) fn catch() -> io::Result<Self> {
        let interrupt = Self::default();
        for signal in signals::to_handle() {
            signal_hook::flag::register(signal, Arc::clone(&interrupt.0))?;
        }
        Ok(interrupt)
    }

    /// Fails once the program was asked to end.
    ///
    /// # Errors
    ///
    /// [`RunError::Interrupted`].
    pub(super) fn check(&self) -> Result<(), RunError> {
        // Nothing else is published with the flag.
        if self.0.load(Ordering::Relaxed) { Err(RunError::Interrupted) } else { Ok(()) }
    }
}
