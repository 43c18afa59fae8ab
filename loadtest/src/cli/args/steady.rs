//! Flags of the scenarios with one even load: fanout, saturate, chat, burst, soak.

use super::common::Common;
use super::shared::{Message, Receivers};
use crate::cli::error::ConfigError;
use crate::cli::values;
use crate::config::{Config, Load};
use clap::Args;
use std::time::Duration;

#[derive(Args, Debug)]
pub(crate) struct FanoutArgs {
    #[command(flatten)]
    receivers: Receivers,
    /// Messages per second.
    #[arg(long, default_value = "20", value_parser = values::rate)]
    rate: f64,
    #[command(flatten)]
    message: Message,
    #[command(flatten)]
    common: Common,
}

impl FanoutArgs {
    /// Returns the configuration that the flags amount to.
    pub(crate) fn into_config(self) -> Result<Config, ConfigError> {
        let load = Load::Fanout { rate: self.rate };
        self.common.config(load, self.receivers.clients, self.message.size)
    }
}

#[derive(Args, Debug)]
pub(crate) struct SaturateArgs {
    #[command(flatten)]
    receivers: Receivers,
    /// Messages in flight: sent, and not yet received by the publisher itself.
    #[arg(long, default_value = "64", value_parser = values::positive)]
    window: usize,
    #[command(flatten)]
    message: Message,
    #[command(flatten)]
    common: Common,
}

impl SaturateArgs {
    /// Returns the configuration that the flags amount to.
    pub(crate) fn into_config(self) -> Result<Config, ConfigError> {
        let load = Load::Saturate { window: self.window };
        self.common.config(load, self.receivers.clients, self.message.size)
    }
}

#[derive(Args, Debug)]
pub(crate) struct ChatArgs {
    /// Members; each of them publishes.
    #[arg(long, default_value = "1000", value_parser = values::positive)]
    clients: usize,
    /// Messages per second of each member.
    #[arg(long, default_value = "1", value_parser = values::rate)]
    rate: f64,
    #[command(flatten)]
    message: Message,
    #[command(flatten)]
    common: Common,
}

impl ChatArgs {
    /// Returns the configuration that the flags amount to.
    pub(crate) fn into_config(self) -> Result<Config, ConfigError> {
        let load = Load::Chat { rate: self.rate };
        self.common.config(load, self.clients, self.message.size)
    }
}

#[derive(Args, Debug)]
pub(crate) struct BurstArgs {
    #[command(flatten)]
    receivers: Receivers,
    /// Messages per burst.
    #[arg(long, value_name = "MESSAGES", default_value = "16", value_parser = values::positive)]
    burst: usize,
    /// Time from one burst to the next.
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = values::period)]
    every: Duration,
    #[command(flatten)]
    message: Message,
    #[command(flatten)]
    common: Common,
}

impl BurstArgs {
    /// Returns the configuration that the flags amount to.
    pub(crate) fn into_config(self) -> Result<Config, ConfigError> {
        let load = Load::Burst { messages: self.burst, every: self.every };
        self.common.config(load, self.receivers.clients, self.message.size)
    }
}

#[derive(Args, Debug)]
pub(crate) struct SoakArgs {
    #[command(flatten)]
    receivers: Receivers,
    /// Messages per second.
    #[arg(long, default_value = "5", value_parser = values::rate)]
    rate: f64,
    #[command(flatten)]
    message: Message,
    #[command(flatten)]
    common: Common,
}

impl SoakArgs {
    /// Returns the configuration that the flags amount to.
    pub(crate) fn into_config(self) -> Result<Config, ConfigError> {
        let load = Load::Soak { rate: self.rate };
        self.common.config(load, self.receivers.clients, self.message.size)
    }
}
