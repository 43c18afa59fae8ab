//! The record of a load: how a [`Load`] stands in JSON, flat, with 0 for what its scenario does not use.
//!
//! Reports of several scenarios can so be read with one set of keys.

use super::load::{Axis, Load, RampLoad, Scenario};
use super::seconds;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::time::Duration;

/// The keys of all scenarios.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct LoadRecord {
    scenario: Scenario,
    clients_low: usize,
    rate: f64,
    window: usize,
    burst: usize,
    #[serde(with = "seconds")]
    every: Duration,
    stalled: usize,
    #[serde(with = "seconds")]
    jitter: Duration,
    churn_rate: f64,
    churners: usize,
    axis: Axis,
    ramp_from: f64,
    ramp_step: f64,
    ramp_steps: usize,
    #[serde(with = "seconds")]
    p99_max: Duration,
    channels: usize,
    subscriptions: usize,
    zipf: f64,
    #[serde(default)]
    leavers: usize,
    #[serde(default)]
    missed: usize,
    #[serde(default, with = "seconds")]
    within: Duration,
}

/// Writes a load as its record.
pub(super) fn serialize<S: Serializer>(load: &Load, serializer: S) -> Result<S::Ok, S::Error> {
    LoadRecord::from(load.clone()).serialize(serializer)
}

/// Reads a load from its record.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Load, D::Error> {
    LoadRecord::deserialize(deserializer).map(Load::from)
}

impl From<Load> for LoadRecord {
    fn from(load: Load) -> Self {
        let unused = Self { scenario: load.scenario(), ..Self::default() };
        match load {
            Load::Idle { clients_low } => Self { clients_low, ..unused },
            Load::Fanout { rate } | Load::Chat { rate } | Load::Soak { rate } => Self { rate, ..unused },
            Load::Saturate { window } => Self { window, ..unused },
            Load::Burst { messages, every } => Self { burst: messages, every, ..unused },
            Load::Slow { rate, stalled } => Self { rate, stalled, ..unused },
            Load::Storm { rate, jitter } => Self { rate, jitter, ..unused },
            Load::Churn { rate, churn_rate, churners } => Self { rate, churn_rate, churners, ..unused },
            Load::Recovery { rate, leavers, missed, within } => Self { rate, leavers, missed, within, ..unused },
            Load::Ramp(RampLoad { axis, from, step, steps_max, p99_max, rate }) => {
                Self { axis, ramp_from: from, ramp_step: step, ramp_steps: steps_max, p99_max, rate, ..unused }
            }
            Load::Channels { rate, channels, subscriptions, zipf } => {
                Self { rate, channels, subscriptions, zipf, ..unused }
            }
        }
    }
}

impl From<LoadRecord> for Load {
    fn from(record: LoadRecord) -> Self {
        let LoadRecord { rate, churn_rate, churners, channels, subscriptions, zipf, .. } = record;
        match record.scenario {
            Scenario::Idle => Self::Idle { clients_low: record.clients_low },
            Scenario::Fanout => Self::Fanout { rate },
            Scenario::Saturate => Self::Saturate { window: record.window },
            Scenario::Chat => Self::Chat { rate },
            Scenario::Burst => Self::Burst { messages: record.burst, every: record.every },
            Scenario::Slow => Self::Slow { rate, stalled: record.stalled },
            Scenario::Storm => Self::Storm { rate, jitter: record.jitter },
            Scenario::Churn => Self::Churn { rate, churn_rate, churners },
            Scenario::Recovery => {
                Self::Recovery { rate, leavers: record.leavers, missed: record.missed, within: record.within }
            }
            Scenario::Ramp => Self::Ramp(RampLoad {
                axis: record.axis,
                from: record.ramp_from,
                step: record.ramp_step,
                steps_max: record.ramp_steps,
                p99_max: record.p99_max,
                rate,
            }),
            Scenario::Channels => Self::Channels { rate, channels, subscriptions, zipf },
            Scenario::Soak => Self::Soak { rate },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Workers and readers of old reports get the load that the command line built.
    #[test]
    fn every_load_survives_the_record() {
        let second = Duration::from_secs(1);
        let axis = Axis::Rate;
        for load in [
            Load::Idle { clients_low: 7 },
            Load::Fanout { rate: 2.5 },
            Load::Saturate { window: 64 },
            Load::Chat { rate: 1.0 },
            Load::Burst { messages: 16, every: second },
            Load::Slow { rate: 2.0, stalled: 3 },
            Load::Storm { rate: 2.0, jitter: second },
            Load::Churn { rate: 2.0, churn_rate: 4.0, churners: 5 },
            Load::Recovery { rate: 2.0, leavers: 5, missed: 3, within: second },
            Load::Ramp(RampLoad { axis, from: 1.0, step: 2.0, steps_max: 3, p99_max: second, rate: 9.0 }),
            Load::Channels { rate: 2.0, channels: 9, subscriptions: 2, zipf: 1.5 },
            Load::Soak { rate: 5.0 },
        ] {
            let json = serde_json::to_string(&LoadRecord::from(load.clone())).unwrap();
            let record: LoadRecord = serde_json::from_str(&json).unwrap();
            assert_eq!(Load::from(record), load, "{json}");
        }
    }

    /// The keys of a report's configuration do not depend on its scenario.
    #[test]
    fn unused_keys_are_zero() {
        let record = serde_json::to_value(LoadRecord::from(Load::Fanout { rate: 20.0 })).unwrap();
        assert_eq!(record["window"], 0);
        assert_eq!(record["p99_max"], 0.0);
        assert_eq!(record.as_object().map(serde_json::Map::len), Some(21));
    }
}
