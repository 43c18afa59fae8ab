//! Results: what a run found, as data. The JSON file of a report holds exactly this.
//!
//! A figure that a run cannot know is absent, not 0. Shares are of one core unless noted.

mod findings;
mod phase;
mod sample;
mod scenario;

pub(crate) use findings::{Accounting, Connections, Findings};
pub(crate) use phase::{ApiAnswers, GENERATOR_CPU_SHARE_MAX, GeneratorUse, Phase, ServerUse};
pub(crate) use sample::Sample;
pub(crate) use scenario::{Channels, Churn, Idle, Ramp, Recovery, Round, Slow, Soak, Step, Storm};
