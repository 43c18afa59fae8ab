//! Flags of publishing through the server's HTTP API.

use crate::cli::error::ConfigError;
use crate::cli::values;
use crate::config::Api;
use crate::wire::target::Target;
use clap::Args;

/// The value of `--publish` that means the API.
pub(super) const PUBLISH_API: &str = "api";

/// Flags of `--publish api`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ApiArgs {
    /// Connections to the API, kept alive, with one request at a time each. They take turns [default: 1].
    #[arg(long, value_name = "N", value_parser = values::connections, help_heading = "API (--publish api)")]
    api_connections: Option<usize>,
    /// Publications of a request at most: those that are due when its connection is free [default: 1].
    #[arg(long, value_name = "N", value_parser = values::batch, help_heading = "API (--publish api)")]
    api_batch: Option<usize>,
    /// The key of the API. A process list shows flags, and not variables.
    #[arg(long, value_name = "KEY", env = "LOADTEST_API_KEY", hide_env_values = true, value_parser = values::key,
          help_heading = "API (--publish api)")]
    api_key: Option<String>,
    /// The address that the methods are below [default: /api at the host of --url].
    #[arg(long, value_name = "URL", value_parser = Target::parse, help_heading = "API (--publish api)")]
    api_url: Option<Target>,
}

impl ApiArgs {
    /// Returns how to publish, if that is through the API.
    ///
    /// # Errors
    ///
    /// Fails when a flag is given without `--publish api`.
    pub(super) fn config(&self, url: &Target, is_used: bool) -> Result<Option<Api>, ConfigError> {
        let given = [
            ("--api-connections", self.api_connections.is_some()),
            ("--api-batch", self.api_batch.is_some()),
            ("--api-url", self.api_url.is_some()),
        ];
        // A key may be in the environment of all runs.
        if let Some((flag, _)) = given.into_iter().find(|(_, is_given)| *is_given && !is_used) {
            return Err(ConfigError::Unused { flag, why: "messages go through the API with --publish api only" });
        }
        Ok(is_used.then(|| Api {
            url: self.api_url.clone().unwrap_or_else(|| url.with_path("/api")),
            connections: self.api_connections.unwrap_or(1),
            batch: self.api_batch.unwrap_or(1),
            key: self.api_key.clone(),
        }))
    }
}
