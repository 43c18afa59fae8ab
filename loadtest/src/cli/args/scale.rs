//! Flags of the scenarios that vary a size: idle, ramp, channels.

use super::common::Common;
use super::shared::Message;
use crate::cli::error::ConfigError;
use crate::cli::values;
use crate::config::{Axis, Config, Load, RampLoad};
use clap::Args;
use std::time::Duration;

/// Length of a message where none is sent, so that every report has one.
const IDLE_SIZE: usize = 64;

#[derive(Args, Debug)]
pub(crate) struct IdleArgs {
    /// Connections at the second measurement.
    #[arg(long, default_value = "10000", value_parser = values::positive)]
    clients: usize,
    /// Connections at the first measurement.
    #[arg(long, default_value = "2000", value_parser = values::positive)]
    clients_low: usize,
    #[command(flatten)]
    common: Common,
}

impl IdleArgs {
    /// Returns the configuration that the flags amount to.
    pub(crate) fn into_config(self) -> Result<Config, ConfigError> {
        let load = Load::Idle { clients_low: self.clients_low };
        self.common.config(load, self.clients, IDLE_SIZE)
    }
}

#[derive(Args, Debug)]
pub(crate) struct RampArgs {
    /// What is raised.
    #[arg(long, value_enum, default_value = "clients")]
    by: Axis,
    /// Clients or messages per second of the first step [default: 500 clients, 10 messages/s].
    #[arg(long, value_parser = values::rate)]
    from: Option<f64>,
    /// What each step adds [default: 500 clients, 10 messages/s].
    #[arg(long, value_parser = values::rate)]
    step: Option<f64>,
    /// The largest number of steps.
    #[arg(long, default_value = "12", value_parser = values::positive)]
    steps: usize,
    /// The latency limit: the ramp ends when the p99 exceeds it.
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = values::duration)]
    p99_max: Duration,
    /// --by rate: receivers; the publisher comes on top [default: 1000].
    #[arg(long, value_parser = values::positive)]
    clients: Option<usize>,
    /// --by clients: messages per second [default: 20].
    #[arg(long, value_parser = values::rate)]
    rate: Option<f64>,
    #[command(flatten)]
    message: Message,
    #[command(flatten)]
    common: Common,
}

impl RampArgs {
    /// Returns the configuration that the flags amount to.
    pub(crate) fn into_config(self) -> Result<Config, ConfigError> {
        if self.by == Axis::Clients && self.clients.is_some() {
            let why = "with --by clients the steps are --from and --step";
            return Err(ConfigError::Unused { flag: "--clients", why });
        }
        if self.by == Axis::Rate && self.rate.is_some() {
            let why = "with --by rate the steps are --from and --step";
            return Err(ConfigError::Unused { flag: "--rate", why });
        }
        let usual = if self.by == Axis::Clients { 500.0 } else { 10.0 };
        let (from, step) = (self.from.unwrap_or(usual), self.step.unwrap_or(usual));
        let last = from + step * (self.steps - 1) as f64;
        let clients = match self.by {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 1e7 times the steps")]
            Axis::Clients => last.round() as usize,
            Axis::Rate => self.clients.unwrap_or(1000),
        };
        let Self { by: axis, steps: steps_max, p99_max, .. } = self;
        let rate = self.rate.unwrap_or(20.0);
        let load = Load::Ramp(RampLoad { axis, from, step, steps_max, p99_max, rate });
        self.common.config(load, clients, self.message.size)
    }
}

#[derive(Args, Debug)]
pub(crate) struct ChannelsArgs {
    /// Clients.
    #[arg(long, default_value = "2000", value_parser = values::positive)]
    clients: usize,
    /// Number of channels.
    #[arg(long, default_value = "1000", value_parser = values::positive)]
    channels: usize,
    /// Subscriptions of each client.
    #[arg(long, default_value = "1", value_parser = values::positive)]
    subscriptions: usize,
    /// Exponent of the popularity: 0 for equal channels, 1 for the frequency of words in a text.
    #[arg(long, default_value = "1", value_parser = values::exponent)]
    zipf: f64,
    /// Messages per second in all.
    #[arg(long, default_value = "200", value_parser = values::rate)]
    rate: f64,
    #[command(flatten)]
    message: Message,
    #[command(flatten)]
    common: Common,
}

impl ChannelsArgs {
    /// Returns the configuration that the flags amount to.
    pub(crate) fn into_config(self) -> Result<Config, ConfigError> {
        let Self { rate, channels, subscriptions, zipf, .. } = self;
        self.common.config(Load::Channels { rate, channels, subscriptions, zipf }, self.clients, self.message.size)
    }
}
