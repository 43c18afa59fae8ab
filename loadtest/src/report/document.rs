//! A report: the findings of a run, its configuration and environment, and the verdict. The JSON file is exactly this.

use super::verdict::Verdict;
use crate::config::Config;
use crate::observe::host::Environment;
use crate::results::Findings;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The version of the file's shape. Another one is refused when it is read.
const FORMAT: u32 = 2;

/// Everything that is written to the JSON file.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Report {
    pub(crate) format: u32,
    pub(crate) verdict: Verdict,
    pub(crate) config: Config,
    pub(crate) environment: Environment,
    pub(crate) results: Findings,
}

impl Report {
    /// Puts a report together.
    pub(crate) fn new(verdict: Verdict, config: Config, environment: Environment, results: Findings) -> Self {
        Self { format: FORMAT, verdict, config, environment, results }
    }

    /// Returns the content of the JSON file.
    ///
    /// # Errors
    ///
    /// Fails when a value has no form in JSON, which never happens.
    pub(crate) fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec_pretty(self).context("failed to write the report as JSON")
    }

    /// Reads a JSON file back.
    ///
    /// # Errors
    ///
    /// Fails when it cannot be read, is no report, or one of another version.
    pub(crate) fn read_json(path: &Path) -> Result<Self> {
        let name = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {name}"))?;
        let value: serde_json::Value =
            serde_json::from_str(&text).with_context(|| format!("{name} is no report: it is not JSON"))?;
        let format = value.get("format").and_then(serde_json::Value::as_u64);
        ensure!(
            format == Some(FORMAT.into()),
            "{name} has report format {}, this loadtest reads {FORMAT}: run the test again",
            format.map_or_else(|| "none".to_owned(), |format| format.to_string())
        );
        serde_json::from_value(value).with_context(|| format!("{name} is no report"))
    }
}
