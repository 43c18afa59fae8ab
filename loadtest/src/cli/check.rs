//! Checks of a configuration: values that are impossible together.

use super::error::{ConfigError, PUBLISHERS_MAX};
use crate::config::{Config, Load};
use crate::wire::protocol::{CHANNEL, Protocol};

/// Sequence numbers that a worker may keep, 4 bytes each: 1 GiB. A chat of 16,384 members needs this many.
const SEQUENCES_MAX: usize = 1 << 28;

/// Checks what the flags amount to.
///
/// # Errors
///
/// Fails when two values contradict each other.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    if let Some(metrics) = config.server_metrics.as_ref().filter(|metrics| metrics.is_encrypted) {
        return Err(ConfigError::EncryptedMetrics(metrics.clone()));
    }
    let clients = config.clients;
    check_api(config)?;
    match config.load {
        Load::Idle { clients_low: low } if low >= clients => Err(ConfigError::OneSize { low, clients }),
        Load::Idle { .. } if config.server_pid.is_none() => Err(ConfigError::NoServerPid),
        // Each worker keeps a sequence number for each pair of its clients and a publisher.
        Load::Chat { .. }
            if clients > PUBLISHERS_MAX || clients * clients.div_ceil(config.processes) > SEQUENCES_MAX =>
        {
            Err(ConfigError::ChatTooLarge(clients))
        }
        Load::Channels { channels, subscriptions, .. } => check_channels(config, channels, subscriptions),
        _ => Ok(()),
    }
}

/// Checks that the load is one that a backend can make.
fn check_api(config: &Config) -> Result<(), ConfigError> {
    let why = match (&config.api, &config.load) {
        (None, _) => return Ok(()),
        (_, Load::Idle { .. }) => ("idle", "it sends no messages; omit --publish"),
        (_, Load::Chat { .. }) => {
            ("chat", "its members publish themselves; for a backend use fanout with a higher --rate")
        }
        _ => return Ok(()),
    };
    let (scenario, why) = why;
    Err(ConfigError::NoApi { scenario, why })
}

fn check_channels(config: &Config, channels: usize, subscriptions: usize) -> Result<(), ConfigError> {
    let is_centrifuge = config.protocol.centrifuge().is_some();
    let names_channel = config.url.path.contains(CHANNEL)
        || matches!(&config.protocol, Protocol::Custom(custom) if custom.publish.contains(CHANNEL));
    if channels > PUBLISHERS_MAX {
        Err(ConfigError::TooManyChannels(channels))
    } else if subscriptions > channels {
        Err(ConfigError::TooManySubscriptions { subscriptions, channels })
    } else if subscriptions > 1 && !is_centrifuge {
        Err(ConfigError::OneChannelOnly(subscriptions))
    } else if !is_centrifuge && !names_channel {
        Err(ConfigError::NoChannel(config.url.clone()))
    } else {
        Ok(())
    }
}
