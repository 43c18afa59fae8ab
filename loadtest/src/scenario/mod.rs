//! The scenarios: each answers one question and fills its part of the findings.
//!
//! A scenario that is interrupted returns what it has; one that fails leaves in the findings what it had until then.

mod channels;
mod dispatch;
mod idle;
mod ramp;
mod recovery;
mod soak;
mod storm;
mod two_phases;

pub(crate) use dispatch::run;
