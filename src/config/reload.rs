//! A reload: which changed settings it applies, and which wait for a restart.

use super::root::Config;
use super::section::single_settings;
use super::setting::Applies;
use super::source::Value;
use super::tables::TableValue;

/// Returns whether a change of a setting needs a restart.
pub fn needs_restart(key: &str) -> bool {
    single_settings(Config::SCHEMA).any(|(_, one)| one.key == key && one.applies == Applies::Restart)
}

/// Returns what a reload leads to: the new settings, and the old ones where a change needs a restart.
pub fn merge(old: &Config, new: &Config) -> Config {
    let mut merged = new.clone();
    merged.keep_until_restart(old);
    merged
}

/// Returns the differences between two loads as `key old -> new`: those that a reload applies, and the others.
pub fn changes(old: &[Value], new: &[Value]) -> (Vec<String>, Vec<String>) {
    let described = old.iter().zip(new).filter_map(|(old, new)| Some((new.key, change(old, new)?)));
    let (restart, reload): (Vec<_>, Vec<_>) = described.partition(|(key, _)| needs_restart(key));
    let texts = |pairs: Vec<(&str, String)>| pairs.into_iter().map(|(_, text)| text).collect();
    (texts(reload), texts(restart))
}

/// Describes the change of a setting, if there is one.
fn change(old: &Value, new: &Value) -> Option<String> {
    if old.text != new.text {
        return Some(format!("{} {:?} -> {:?}", new.key, old.text, new.text));
    }
    (old.fingerprint != new.fingerprint).then(|| format!("{} {:?} -> another secret", new.key, old.text))
}

/// Returns the differences between the tables of two loads, all of which a reload applies.
pub fn table_changes(old: &[TableValue], new: &[TableValue]) -> Vec<String> {
    let find = |tables: &[TableValue], label: &str| tables.iter().find(|one| one.label == label).cloned();
    let changed = new.iter().filter_map(|table| match find(old, &table.label) {
        None => Some(format!("{} is added: {}", table.label, table.text)),
        Some(before) if before.text != table.text => {
            Some(format!("{} {:?} -> {:?}", table.label, before.text, table.text))
        }
        Some(_) => None,
    });
    let removed = old.iter().filter(|table| find(new, &table.label).is_none());
    changed.chain(removed.map(|table| format!("{} is removed", table.label))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the documents say of a setting is what a reload does with it.
    #[test]
    fn settings_that_need_a_restart_stay_and_others_change() {
        let old = Config::default();
        let text = "addr = [\"127.0.0.1:1\"]\nshards = 2\n[limits]\nsend_buffer_bytes = 8192\nchannels_max = 7\n\
            [log]\nlog = \"debug\"\nlog_format = \"json\"\n[tuning]\nevent_interval = 7\n";
        let merged = merge(&old, &Config::from_toml(text).unwrap());
        assert_eq!(merged.addr, old.addr);
        assert_eq!(merged.shards, old.shards);
        assert_eq!(merged.sockets.send_buffer_bytes, old.sockets.send_buffer_bytes);
        assert_eq!(merged.logging.log_format, old.logging.log_format);
        assert_eq!(merged.tuning.event_interval, old.tuning.event_interval);
        assert_eq!((merged.limits.channels_max, merged.logging.log.as_str()), (7, "debug"));
    }
}
