//! The cluster: every hub as a row, and what is missing.

use serde_json::Value;

/// The hubs of a cluster, as one of them knows them.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    /// The asked hub first.
    pub(super) hubs: Vec<HubRow>,
    /// The hubs that are not heard any more, by name.
    pub(super) missing: Vec<String>,
    /// What would even out the connections, as a request.
    pub(super) rebalance: Option<String>,
    /// More than one during an upgrade.
    pub(super) versions: usize,
}

/// A hub, as a row.
#[derive(Clone, Debug)]
pub(super) struct HubRow {
    pub(super) name: String,
    pub(super) is_this: bool,
    pub(super) state: String,
    pub(super) version: String,
    pub(super) addresses: String,
    pub(super) connections: f64,
    pub(super) connections_max: f64,
    pub(super) channels: f64,
    pub(super) uptime: f64,
    /// Seconds since it was heard.
    pub(super) heard: f64,
    pub(super) is_late: bool,
}

impl Cluster {
    pub(super) fn new(cluster: &Value) -> Self {
        let rows = |name: &str| cluster[name].as_array().map_or(&[][..], Vec::as_slice).iter();
        Self {
            hubs: rows("hubs").map(HubRow::new).collect(),
            missing: rows("missing").map(|lost| text(&lost["name"])).collect(),
            rebalance: cluster["rebalance"]["command"].as_str().map(str::to_owned),
            versions: rows("versions").len(),
        }
    }
}

impl HubRow {
    fn new(row: &Value) -> Self {
        let number = |name: &str| row[name].as_f64().unwrap_or(0.0);
        let addresses = row["addresses"].as_array().map_or(&[][..], Vec::as_slice);
        Self {
            name: text(&row["name"]),
            is_this: row["is_this"].as_bool().unwrap_or(false),
            state: text(&row["state"]),
            version: text(&row["version"]),
            addresses: addresses.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
            connections: number("connections"),
            connections_max: number("connections_max"),
            channels: number("channels"),
            uptime: number("uptime_seconds"),
            heard: number("heartbeat_age_seconds"),
            is_late: row["is_late"].as_bool().unwrap_or(false),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("?").to_owned()
}
