//! Flags of the scenarios in which clients stall, reconnect, or come and go: slow, storm, churn.

use super::common::Common;
use super::shared::Message;
use crate::cli::error::ConfigError;
use crate::cli::values;
use crate::config::{Config, Load};
use clap::Args;
use std::time::Duration;

#[derive(Args, Debug)]
pub(crate) struct SlowArgs {
    /// Receivers, the stalled ones included; the publisher comes on top.
    #[arg(long, default_value = "200", value_parser = values::positive)]
    clients: usize,
    /// Share of the receivers that stop reading.
    #[arg(long, value_name = "SHARE", default_value = "0.1", value_parser = values::share)]
    slow_share: f64,
    /// Messages per second.
    #[arg(long, default_value = "500", value_parser = values::rate)]
    rate: f64,
    /// Bytes of a message.
    #[arg(long, value_name = "BYTES", default_value = "500", value_parser = values::size)]
    size: usize,
    #[command(flatten)]
    common: Common,
}

impl SlowArgs {
    /// Returns the configuration that the flags amount to.
    pub(crate) fn into_config(self) -> Result<Config, ConfigError> {
        let stalled = part("--slow-share", self.slow_share, self.clients)?;
        self.common.config(Load::Slow { rate: self.rate, stalled }, self.clients, self.size)
    }
}

#[derive(Args, Debug)]
pub(crate) struct StormArgs {
    /// Receivers; the publisher comes on top and is cut as well.
    #[arg(long, default_value = "5000", value_parser = values::positive)]
    clients: usize,
    /// Second round: each client reconnects at a random moment of this window.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = values::duration)]
    jitter: Duration,
    /// Messages per second of the load that proves that all clients receive again.
    #[arg(long, default_value = "5", value_parser = values::rate)]
    rate: f64,
    #[command(flatten)]
    message: Message,
    #[command(flatten)]
    common: Common,
}

impl StormArgs {
    /// Returns the configuration that the flags amount to.
    pub(crate) fn into_config(self) -> Result<Config, ConfigError> {
        let load = Load::Storm { rate: self.rate, jitter: self.jitter };
        self.common.config(load, self.clients, self.message.size)
    }
}

#[derive(Args, Debug)]
pub(crate) struct ChurnArgs {
    /// Receivers, including those that disconnect and reconnect; the publisher comes on top.
    #[arg(long, default_value = "1000", value_parser = values::positive)]
    clients: usize,
    /// Connections per second that are closed and opened again.
    #[arg(long, default_value = "100", value_parser = values::rate)]
    churn_rate: f64,
    /// Share of the receivers that take turns in this.
    #[arg(long, value_name = "SHARE", default_value = "0.5", value_parser = values::share)]
    churn_share: f64,
    /// Messages per second.
    #[arg(long, default_value = "20", value_parser = values::rate)]
    rate: f64,
    #[command(flatten)]
    message: Message,
    #[command(flatten)]
    common: Common,
}

impl ChurnArgs {
    /// Returns the configuration that the flags amount to.
    pub(crate) fn into_config(self) -> Result<Config, ConfigError> {
        let churners = part("--churn-share", self.churn_share, self.clients)?;
        let load = Load::Churn { rate: self.rate, churn_rate: self.churn_rate, churners };
        self.common.config(load, self.clients, self.message.size)
    }
}

#[derive(Args, Debug)]
pub(crate) struct RecoveryArgs {
    /// Receivers, including those that leave; the publisher's connection comes on top, if it has one.
    #[arg(long, default_value = "11000", value_parser = values::positive)]
    clients: usize,
    /// Receivers that leave and return.
    #[arg(long, default_value = "10000", value_parser = values::positive)]
    leavers: usize,
    /// Messages that are published while they are away.
    #[arg(long, value_name = "MESSAGES", default_value = "100", value_parser = values::positive)]
    missed: usize,
    /// Each returns at a random moment of this time.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = values::period)]
    within: Duration,
    /// Messages per second, before and during the return.
    #[arg(long, default_value = "5", value_parser = values::rate)]
    rate: f64,
    #[command(flatten)]
    message: Message,
    #[command(flatten)]
    common: Common,
}

impl RecoveryArgs {
    /// Returns the configuration that the flags amount to.
    pub(crate) fn into_config(self) -> Result<Config, ConfigError> {
        let Self { rate, leavers, missed, within, .. } = self;
        if leavers >= self.clients {
            return Err(ConfigError::NobodyStays { leavers, clients: self.clients });
        }
        let load = Load::Recovery { rate, leavers, missed, within };
        self.common.config(load, self.clients, self.message.size)
    }
}

/// Returns the number of clients that a share amounts to: at least one, and not all.
fn part(flag: &'static str, share: f64, clients: usize) -> Result<usize, ConfigError> {
    let part = (1..clients).take_while(|part| *part as f64 <= clients as f64 * share).count();
    if part == 0 { Err(ConfigError::EmptyShare { flag, share, clients }) } else { Ok(part) }
}
