//! The findings of a run: what was measured and counted, phase by phase and over all of it.

use super::phase::Phase;
use super::sample::Sample;
use super::scenario::{Channels, Churn, Idle, Ramp, Recovery, Slow, Soak, Storm};
use crate::measure::histogram::Summary;
use crate::measure::{CloseCount, Counts, Refusal};
use serde::{Deserialize, Serialize};

/// The findings.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Findings {
    pub(crate) connections: Connections,
    pub(crate) accounting: Accounting,
    /// Connections that the server closed and should not have, by code.
    pub(crate) closes: Vec<CloseCount>,
    /// Connections that the server did not accept, in scenarios that go on without them.
    pub(crate) refusals: Vec<Refusal>,
    /// Measured windows, in their order.
    pub(crate) phases: Vec<Phase>,
    /// The whole run, second by second.
    pub(crate) timeline: Vec<Sample>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) idle: Option<Idle>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) slow: Option<Slow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) storm: Option<Storm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) churn: Option<Churn>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) recovery: Option<Recovery>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ramp: Option<Ramp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) channels: Option<Channels>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) soak: Option<Soak>,
}

/// How connecting went.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Connections {
    pub(crate) opened: usize,
    /// Connections that the next figures cover: in `idle`, the second step.
    pub(crate) timed: usize,
    pub(crate) seconds: f64,
    /// From the first SYN to the end of the WebSocket handshake.
    pub(crate) handshake: Summary,
    pub(crate) server_cpu_us_per_connection: Option<f64>,
}

/// Where every delivery went.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Accounting {
    /// Expected deliveries: each message to each connection that reads, the publisher's own copy included.
    pub(crate) expected: u64,
    #[serde(flatten)]
    pub(crate) counts: Counts,
    /// Expected by connections that the server had closed.
    pub(crate) undelivered_closed: u64,
    /// Messages, not deliveries, of publishers that the server closed, which reached no client.
    pub(crate) unaccepted: u64,
    /// Messages that the API had not accepted when the wait for it was over. They reached no client either.
    #[serde(default)]
    pub(crate) unaccepted_by_api: u64,
    /// Deliveries that fastwebsockets' client saw too.
    pub(crate) validated: u64,
    /// The start of the first line that was not a record.
    #[serde(rename = "first_stranger")]
    pub(crate) first_unexpected: Option<String>,
}
