//! A load: what a scenario does to the server, with the parameters of that scenario and no others.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The scenario by name.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scenario {
    Idle,
    #[default]
    Fanout,
    Saturate,
    Chat,
    Burst,
    Slow,
    Storm,
    Churn,
    Recovery,
    Ramp,
    Channels,
    Soak,
}

/// The load of a run. Rates are in messages per second, over all publishers unless a field says otherwise.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Load {
    /// Connections without messages, measured at two sizes; `clients_low` is the first of them.
    Idle { clients_low: usize },
    /// One publisher on a clock.
    Fanout { rate: f64 },
    /// One publisher that keeps `window` messages in flight (closed loop).
    Saturate { window: usize },
    /// Every client publishes; `rate` is per client.
    Chat { rate: f64 },
    /// One publisher that sends `messages` at once, every `every`.
    Burst { messages: usize, every: Duration },
    /// One publisher, while the last `stalled` receivers stop reading.
    Slow { rate: f64, stalled: usize },
    /// All connections cut twice; in the second round they reconnect within `jitter`. `rate` is that of the check load.
    Storm { rate: f64, jitter: Duration },
    /// One publisher, while the last `churners` clients disconnect and reconnect, `churn_rate` per second.
    Churn { rate: f64, churn_rate: f64, churners: usize },
    /// One publisher, while the last `leavers` clients are away: `missed` messages are published before they return
    /// within `within` and ask for them.
    Recovery { rate: f64, leavers: usize, missed: usize, within: Duration },
    /// Steps of more clients or more messages, until p99 passes a limit.
    Ramp(RampLoad),
    /// Many channels, whose popularity follows Zipf's law with the exponent `zipf`; `subscriptions` is per client.
    Channels { rate: f64, channels: usize, subscriptions: usize, zipf: f64 },
    /// One publisher on a clock, for a long time.
    Soak { rate: f64 },
}

/// The steps of a ramp.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RampLoad {
    /// What each step raises.
    pub(crate) axis: Axis,
    /// The value of the first step, in clients or in messages per second.
    pub(crate) from: f64,
    /// The difference between two steps.
    pub(crate) step: f64,
    pub(crate) steps_max: usize,
    pub(crate) p99_max: Duration,
    /// Messages per second while the clients are raised.
    pub(crate) rate: f64,
}

/// What a ramp raises.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Axis {
    /// Receivers, at a fixed rate.
    #[default]
    Clients,
    /// Messages per second, at a fixed number of receivers.
    Rate,
}

impl Load {
    /// Returns the scenario that this load belongs to.
    pub(crate) const fn scenario(&self) -> Scenario {
        match self {
            Self::Idle { .. } => Scenario::Idle,
            Self::Fanout { .. } => Scenario::Fanout,
            Self::Saturate { .. } => Scenario::Saturate,
            Self::Chat { .. } => Scenario::Chat,
            Self::Burst { .. } => Scenario::Burst,
            Self::Slow { .. } => Scenario::Slow,
            Self::Storm { .. } => Scenario::Storm,
            Self::Churn { .. } => Scenario::Churn,
            Self::Recovery { .. } => Scenario::Recovery,
            Self::Ramp(_) => Scenario::Ramp,
            Self::Channels { .. } => Scenario::Channels,
            Self::Soak { .. } => Scenario::Soak,
        }
    }

    /// Returns the number of receivers, the last of the run, that stop reading.
    pub(crate) const fn stalled(&self) -> usize {
        if let Self::Slow { stalled, .. } = self { *stalled } else { 0 }
    }

    /// Returns the number of clients, the last of the run, that disconnect and reconnect.
    pub(crate) const fn churners(&self) -> usize {
        if let Self::Churn { churners, .. } = self { *churners } else { 0 }
    }

    /// Returns the number of clients, the last of the run, that leave and recover what they missed.
    pub(crate) const fn leavers(&self) -> usize {
        if let Self::Recovery { leavers, .. } = self { *leavers } else { 0 }
    }
}
