//! A snapshot: the state of the hub at one moment, and rates since the sample before.

use super::Sample;
use super::cluster::Cluster;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// The state of the hub.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(super) version: String,
    /// Seconds since the start of the hub; `None` if the metrics do not have it.
    pub(super) uptime: Option<f64>,
    pub(super) connections_open: f64,
    pub(super) connections_max: f64,
    pub(super) is_draining: bool,
    pub(super) resident_bytes: f64,
    pub(super) history_bytes: f64,
    pub(super) history_bytes_max: f64,
    /// The hub has hooks, or sends events.
    pub(super) has_application: bool,
    /// Of all shards together; `None` in the first snapshot.
    pub(super) rates: Option<Rates>,
    pub(super) shards: Vec<ShardRow>,
    pub(super) connections: Result<Vec<ConnectionRow>, String>,
    pub(super) channels: Result<Vec<ChannelRow>, String>,
    /// The hubs of the cluster, if it is one.
    pub(super) cluster: Option<Cluster>,
    /// Where the rates of the next snapshot begin.
    pub(super) sample: Sample,
}

/// Rates per second, and latencies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    pub(super) deliveries: f64,
    pub(super) sends: f64,
    pub(super) bytes: f64,
    pub(super) refusals: f64,
    pub(super) closes: f64,
    /// Answers of the API, and those of them that are errors.
    pub(super) api: f64,
    pub(super) api_errors: f64,
    /// Publications dropped from histories before their time.
    pub(super) evicted: f64,
    /// Clients that got everything that they had missed, and that could not.
    pub(super) recoveries: f64,
    pub(super) incomplete: f64,
    /// Questions to the application, and those of them that it did not answer as documented.
    pub(super) hooks: f64,
    pub(super) hook_failures: f64,
    /// Time that clients waited for its answers.
    pub(super) hook_p99: Option<f64>,
    /// Events that it took, and that were lost to it.
    pub(super) events: f64,
    pub(super) events_lost: f64,
    pub(super) cores: f64,
    pub(super) p50: Option<f64>,
    pub(super) p99: Option<f64>,
}

impl Rates {
    /// Returns the messages that one write delivers on average; `None` without writes.
    pub(super) fn per_write(&self) -> Option<f64> {
        (self.sends > 0.0).then(|| self.deliveries / self.sends)
    }
}

/// A shard, as a row.
#[derive(Clone, Debug)]
pub(super) struct ShardRow {
    pub(super) name: String,
    pub(super) connections: f64,
    pub(super) channels: f64,
    pub(super) deliveries: Option<f64>,
    pub(super) per_write: Option<f64>,
    pub(super) parked: f64,
    pub(super) lag_bytes: f64,
    pub(super) inbox: f64,
    pub(super) p99: Option<f64>,
}

/// A connection, as a row.
#[derive(Clone, Debug)]
pub(super) struct ConnectionRow {
    pub(super) id: String,
    pub(super) client: String,
    pub(super) state: String,
    pub(super) age: f64,
    pub(super) channels: String,
    pub(super) queued_bytes: f64,
    pub(super) stalled: Option<f64>,
    pub(super) round_trip: Option<f64>,
    pub(super) unsent_bytes: Option<f64>,
    pub(super) retransmitted: Option<f64>,
}

/// A channel, as a row.
#[derive(Clone, Debug)]
pub(super) struct ChannelRow {
    pub(super) name: String,
    pub(super) subscribers: f64,
    pub(super) publications: f64,
    pub(super) rate: Option<f64>,
}

/// Questions to the application, by hook and outcome.
const HOOKS: &str = "throng_hook_requests_total";

/// Outcomes of questions that the application has answered.
const ANSWERED: [&str; 3] = ["result", "error", "disconnect"];

impl Snapshot {
    /// Combines two samples and the lists of the hub, or the reasons why there are no lists.
    pub fn new(
        before: Option<&Sample>,
        now: Sample,
        connections: Result<Vec<Value>, String>,
        channels: Result<Vec<Value>, String>,
    ) -> Self {
        let started = now.sum("process_start_time_seconds");
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Self {
            version: now.label("throng_build_info", "version").unwrap_or("?").to_owned(),
            uptime: (started > 0.0).then_some(clock - started),
            connections_open: now.sum("throng_connections"),
            connections_max: now.sum("throng_connections_max"),
            is_draining: now.sum("throng_draining") > 0.0,
            resident_bytes: now.sum("process_resident_memory_bytes"),
            history_bytes: now.sum("throng_history_bytes"),
            history_bytes_max: now.sum("throng_history_bytes_max"),
            has_application: !now.by(HOOKS, "hook").is_empty() || now.sum("throng_events_sent_total") > 0.0,
            rates: before.map(|before| Rates::new(before, &now)),
            shards: shards(before, &now),
            connections: connections.map(|rows| rows.iter().map(ConnectionRow::new).collect()),
            channels: channels.map(|rows| rows.iter().map(ChannelRow::new).collect()),
            cluster: None,
            sample: now,
        }
    }

    /// Adds what the hub knows of its cluster, if there is one.
    pub fn with_cluster(mut self, cluster: Option<Value>) -> Self {
        self.cluster = cluster.map(|cluster| Cluster::new(&cluster));
        self
    }
}

impl Rates {
    fn new(before: &Sample, now: &Sample) -> Self {
        let seconds = now.seconds_since(before);
        // The counters of a restarted hub begin at zero.
        let rate = |name: &str| ((now.sum(name) - before.sum(name)) / seconds).max(0.0);
        let latency = now.buckets(before, "throng_delivery_seconds", None);
        let (answers, earlier) = [now, before].map(|sample| sample.by("throng_api_requests_total", "code")).into();
        let by_code = |code: &String, count: f64| (count - earlier.get(code).copied().unwrap_or(0.0)).max(0.0);
        let errors = answers.iter().filter(|(code, _)| *code != "0");
        let (asked, asked_before) = (now.by(HOOKS, "outcome"), before.by(HOOKS, "outcome"));
        let failed = asked.iter().filter(|(outcome, _)| !ANSWERED.contains(&outcome.as_str()));
        let failed = failed.map(|(outcome, count)| count - asked_before.get(outcome).copied().unwrap_or(0.0));
        let waits = now.buckets(before, "throng_hook_request_duration_seconds", None);
        Self {
            deliveries: rate("throng_deliveries_total"),
            sends: rate("throng_sends_total"),
            bytes: rate("throng_bytes_total"),
            refusals: rate("throng_refusals_total"),
            closes: rate("throng_closes_total"),
            api: rate("throng_api_requests_total"),
            api_errors: errors.map(|(code, count)| by_code(code, *count)).sum::<f64>() / seconds,
            evicted: rate("throng_history_evicted_total"),
            recoveries: rate("throng_recoveries_total"),
            incomplete: rate("throng_recoveries_incomplete_total"),
            hooks: rate(HOOKS),
            hook_failures: (failed.sum::<f64>() / seconds).max(0.0),
            hook_p99: quantile(&waits, 0.99),
            events: rate("throng_events_sent_total"),
            events_lost: rate("throng_events_lost_total"),
            cores: rate("process_cpu_seconds_total"),
            p50: quantile(&latency, 0.5),
            p99: quantile(&latency, 0.99),
        }
    }
}

fn shards(before: Option<&Sample>, now: &Sample) -> Vec<ShardRow> {
    let by = |name: &str| now.by(name, "shard");
    let rates = |name: &str| {
        let before = before?;
        let (earlier, seconds) = (before.by(name, "shard"), now.seconds_since(before));
        let since = |shard: &String, now: f64| (now - earlier.get(shard).copied().unwrap_or(0.0)).max(0.0) / seconds;
        Some(by(name).into_iter().map(|(shard, now)| (shard.clone(), since(&shard, now))).collect::<BTreeMap<_, _>>())
    };
    let (deliveries, sends) = (rates("throng_deliveries_total"), rates("throng_sends_total"));
    let gauges = ["throng_shard_channels", "throng_parked", "throng_lag_bytes", "throng_inbox_depth"].map(by);
    let row = |(name, connections): (String, f64)| {
        let of = |numbers: &BTreeMap<String, f64>| numbers.get(&name).copied().unwrap_or(0.0);
        let [channels, parked, lag_bytes, inbox] = gauges.each_ref().map(of);
        let (deliveries, sends) = (deliveries.as_ref().map(of), sends.as_ref().map(of));
        let per_write = deliveries.zip(sends).filter(|(_, sends)| *sends > 0.0).map(|(all, sends)| all / sends);
        let latency = before.map(|before| now.buckets(before, "throng_delivery_seconds", Some(&name)));
        let p99 = latency.and_then(|latency| quantile(&latency, 0.99));
        ShardRow { name, connections, channels, deliveries, per_write, parked, lag_bytes, inbox, p99 }
    };
    let mut rows: Vec<_> = by("throng_connections").into_iter().map(row).collect();
    rows.sort_by_key(|row| row.name.parse::<usize>().unwrap_or(usize::MAX));
    rows
}

/// Returns the upper bound of the bucket that contains the quantile; `None` if nothing was counted.
fn quantile(buckets: &[(f64, f64)], share: f64) -> Option<f64> {
    let total = buckets.last().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
    buckets.iter().find(|(_, count)| *count >= share * total).map(|(bound, _)| *bound)
}

fn text(row: &Value, name: &str) -> String {
    row[name].as_str().unwrap_or("?").to_owned()
}

impl ConnectionRow {
    fn new(row: &Value) -> Self {
        let names = row["channels"].as_array().map_or(&[][..], Vec::as_slice);
        let mut channels = names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
        let more = row["channels_total"].as_u64().unwrap_or(0).saturating_sub(names.len() as u64);
        if more > 0 {
            channels += &format!(" +{more}");
        }
        Self {
            // Of a cluster without the hub, which is the same in all rows.
            id: text(row, "id").rsplit('-').next().unwrap_or_default().to_owned(),
            client: text(row, "client"),
            state: text(row, "state"),
            age: row["age_seconds"].as_f64().unwrap_or(0.0),
            channels,
            queued_bytes: row["queued_bytes"].as_f64().unwrap_or(0.0),
            stalled: row["stalled_seconds"].as_f64(),
            round_trip: row["round_trip_seconds"].as_f64(),
            unsent_bytes: row["unsent_bytes"].as_f64(),
            retransmitted: row["retransmitted_segments"].as_f64(),
        }
    }
}

impl ChannelRow {
    fn new(row: &Value) -> Self {
        Self {
            name: text(row, "channel"),
            subscribers: row["subscribers"].as_f64().unwrap_or(0.0),
            publications: row["publications"].as_f64().unwrap_or(0.0),
            rate: row["publications_per_second"].as_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantile_is_the_bound_of_its_bucket() {
        let buckets = [(0.001, 90.0), (0.01, 99.0), (f64::INFINITY, 100.0)];
        assert_eq!((quantile(&buckets, 0.5), quantile(&buckets, 0.99)), (Some(0.001), Some(0.01)));
        assert_eq!(quantile(&buckets, 0.999), Some(f64::INFINITY));
        assert_eq!((quantile(&[(1.0, 0.0)], 0.5), quantile(&[], 0.5)), (None, None));
    }
}
