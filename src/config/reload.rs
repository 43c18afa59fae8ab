//! What a reload may change, and what waits for a restart.

use super::Config;
use super::source::Value;

/// Settings that are built into what runs: sockets that listen, threads, shards, the shape of the log.
const RESTART: [&str; 14] = [
    "addr",
    "coalesce_delay",
    "echo",
    "event_interval",
    "internal_addr",
    "log_format",
    "notsent_bytes",
    "otlp_endpoint",
    "pass_commands_max",
    "pass_turn",
    "pin_threads",
    "send_buffer_bytes",
    "shards",
    "threads",
];

/// Returns whether a setting only changes with a restart.
pub fn needs_restart(key: &str) -> bool {
    RESTART.contains(&key)
}

/// Returns what holds after a reload: the new settings, and the old ones where a restart is needed.
pub fn merge(old: &Config, new: &Config) -> Config {
    let mut merged = new.clone();
    merged.addr.clone_from(&old.addr);
    merged.internal_addr.clone_from(&old.internal_addr);
    merged.tuning = old.tuning.clone();
    merged.shards = old.shards;
    merged.echo = old.echo;
    merged.logging.log_format = old.logging.log_format;
    merged.logging.otlp_endpoint.clone_from(&old.logging.otlp_endpoint);
    merged.limits.send_buffer_bytes = old.limits.send_buffer_bytes;
    merged.limits.notsent_bytes = old.limits.notsent_bytes;
    merged
}

/// Returns what differs between two loads, as `key old -> new`: what a reload takes, and what it can not.
pub fn changes(old: &[Value], new: &[Value]) -> (Vec<String>, Vec<String>) {
    let differing = old.iter().zip(new).filter(|(old, new)| old.text != new.text);
    let said = differing.map(|(old, new)| (new.key.as_str(), format!("{} {:?} -> {:?}", new.key, old.text, new.text)));
    let (restart, reload): (Vec<_>, Vec<_>) = said.partition(|(key, _)| needs_restart(key));
    let texts = |pairs: Vec<(&str, String)>| pairs.into_iter().map(|(_, text)| text).collect();
    (texts(reload), texts(restart))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file;
    use clap::CommandFactory;

    /// A key that is misspelt here would be promised to reload.
    #[test]
    fn what_needs_a_restart_is_a_setting() {
        let command = Config::command();
        for key in RESTART {
            assert!(file::settings(&command).any(|arg| arg.get_id() == key), "{key}");
        }
    }
}
