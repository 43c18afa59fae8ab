//! The configuration of a run: complete, and possible by construction.
//!
//! The command line builds it, the workers receive it, and the report keeps it, so that a reader of a report sees what
//! was measured.

mod api;
mod load;
mod record;
mod seconds;
mod settings;

pub(crate) use api::Api;
pub(crate) use load::{Axis, Load, RampLoad, Scenario};
pub(crate) use settings::Config;
