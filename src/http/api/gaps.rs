//! What an answer lacks: in a cluster a hub may not answer in time, and an answer may be too long.

use crate::engine::merged::{Merged, MissingHub};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// What an answer lacks; no field in a complete one.
#[derive(Clone, Debug, Default, JsonSchema, Serialize)]
pub(in crate::http) struct Gaps {
    /// Hubs of the cluster that are there and have not answered in time, so that this is not all. Ask again: a hub that
    /// does not answer is left out once it is gone, after six seconds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Vec<MissingHubBody>>")]
    missing_hubs: Vec<MissingHubBody>,
    /// Number of items that hubs left out, because their answers would have had more than 8 MiB.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(with = "Option<u64>")]
    num_omitted: u64,
}

/// A hub that has not answered.
#[derive(Clone, Debug, JsonSchema, Serialize)]
#[schemars(rename = "MissingHub")]
struct MissingHubBody {
    /// Its id, as `info` has it.
    uid: String,
    /// Its name.
    name: String,
}

impl Gaps {
    /// Returns the hubs that have not answered, as JSON; `None` if all have.
    pub(in crate::http) fn missing_hubs(&self) -> Option<Value> {
        // A list of texts can always be written.
        (!self.missing_hubs.is_empty()).then(|| serde_json::to_value(&self.missing_hubs).unwrap_or_default())
    }

    /// Returns what a merged answer lacks.
    pub(super) fn of<T>(merged: &Merged<T>) -> Self {
        let body = |hub: &MissingHub| MissingHubBody { uid: hub.id.to_string(), name: hub.name.clone() };
        Self { missing_hubs: merged.missing.iter().map(body).collect(), num_omitted: merged.omitted }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
