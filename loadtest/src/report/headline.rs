//! The headline of a report: the load in one line.

use crate::config::{Api, Axis, Config, Load};
use crate::units::{count, rate};
use humantime::format_duration;

/// Returns the load of a run in one line.
pub(super) fn headline(config: &Config) -> String {
    let load = of_load(config);
    match &config.api {
        None => load,
        Some(Api { connections, batch, .. }) => {
            let connections =
                if *connections == 1 { "1 connection".to_owned() } else { format!("{connections} connections") };
            format!("{load}; through the API over {connections}, up to {batch} in a request")
        }
    }
}

fn of_load(config: &Config) -> String {
    let size = config.size;
    let (clients, duration, warmup) =
        (count(config.clients as u64), format_duration(config.duration), format_duration(config.warmup));
    match &config.load {
        Load::Idle { clients_low } => {
            format!("idle: {} then {clients} connections, held {duration}", count(*clients_low as u64))
        }
        Load::Fanout { rate: per_second } => format!(
            "fanout: 1 publisher, {clients} receivers, {} messages/s of {size} B, {duration} after {warmup}",
            rate(*per_second)
        ),
        Load::Saturate { window } => format!(
            "saturate: 1 publisher, {clients} receivers, {window} messages of {size} B in flight, {duration} after \
             {warmup}"
        ),
        Load::Chat { rate: per_second } => format!(
            "chat: {clients} members, each {} messages/s of {size} B to all, {duration} after {warmup}",
            rate(*per_second)
        ),
        Load::Burst { messages, every } => format!(
            "burst: {messages} messages of {size} B at once every {}, {clients} receivers, {duration} after {warmup}",
            format_duration(*every)
        ),
        Load::Slow { rate: per_second, stalled } => format!(
            "slow: {clients} receivers, {} messages/s of {size} B, {duration} calm, {duration} with {stalled} stalled",
            rate(*per_second)
        ),
        Load::Storm { jitter, .. } => format!(
            "storm: {clients} receivers, all cut; reconnecting at once, then spread over {}",
            format_duration(*jitter)
        ),
        Load::Churn { rate: per_second, churn_rate, .. } => format!(
            "churn: {clients} receivers, {} messages/s of {size} B, {duration} calm, {duration} with {} arrivals/s",
            rate(*per_second),
            rate(*churn_rate)
        ),
        Load::Recovery { rate: per_second, leavers, missed, within } => format!(
            "recovery: {clients} receivers, {} messages/s of {size} B, {duration} calm; {} leave, miss {}, and return \
             within {}",
            rate(*per_second),
            count(*leavers as u64),
            count(*missed as u64),
            format_duration(*within)
        ),
        Load::Ramp(ramp) => format!(
            "ramp: {} from {} by {}, {duration} a step, until p99 is above {}",
            if ramp.axis == Axis::Clients { "clients" } else { "messages/s" },
            rate(ramp.from),
            rate(ramp.step),
            format_duration(ramp.p99_max)
        ),
        Load::Channels { rate: per_second, channels, subscriptions, .. } => format!(
            "channels: {clients} clients with {subscriptions} of {} channels each, {} messages/s of {size} B, \
             {duration} after {warmup}",
            count(*channels as u64),
            rate(*per_second)
        ),
        Load::Soak { rate: per_second } => {
            format!("soak: {clients} receivers, {} messages/s of {size} B for {duration}", rate(*per_second))
        }
    }
}
