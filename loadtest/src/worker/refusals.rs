//! Refusals: how often attempts to connect failed, by reason.

use crate::exit::RunError;
use crate::measure::Refusal;
use std::collections::BTreeMap;

/// Reasons that are counted one by one; a server may put anything into its responses.
const REASONS_MAX: usize = 32;

/// Failed attempts by reason.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<String, u64>);

impl Refusals {
    /// Counts one.
    pub(super) fn add(&mut self, error: &RunError) {
        let mut why = error.to_string();
        if self.0.len() >= REASONS_MAX && !self.0.contains_key(&why) {
            why = "other reasons".to_owned();
        }
        *self.0.entry(why).or_default() += 1;
    }

    /// Returns the counts so far.
    pub(super) fn counts(&self) -> Vec<Refusal> {
        self.0.iter().map(|(why, count)| Refusal { why: why.clone(), count: *count }).collect()
    }
}
