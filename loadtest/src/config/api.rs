//! Publishing through the server's HTTP API, as a backend does.

use crate::wire::target::Target;
use serde::{Deserialize, Serialize};

/// Where and how publications are sent, if not over a client's connection.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Api {
    /// The address that the methods are below.
    pub(crate) url: Target,
    /// Connections of each process that publishes. A publisher has one of them, so its order is that of its requests.
    pub(crate) connections: usize,
    /// The largest number of publications in a request.
    pub(crate) batch: usize,
    /// The key of the requests; workers get it with their job, and no report has it.
    #[serde(skip)]
    pub(crate) key: Option<String>,
}
