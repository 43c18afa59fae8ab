//! Keys of proxies: the addresses of backends that a Centrifugo asks, and how it asks them.
//!
//! In v6 every proxy is a table of its own. In v5 those without a name share all keys but endpoint and timeout.

use super::key::Fate::{Missing, Part};
use super::key::{Dialect, Key, key};
use super::reasons;
use crate::config::HookName;

/// The table, in paths of v6, of what all proxies without a name share in v5.
pub(super) const SHARED: &str = "proxy";

/// The list of proxies with names.
pub(super) const NAMED: &str = "proxies";

/// Keys of a proxy, by their names in a table of `proxies`.
pub(super) const PROXY: &[Key] = &[
    key("name", &["name"], Part("nothing: each `[[hook]]` has its `url`")),
    key("enabled", &[], Part("`[[hook]]` connect or refresh")),
    key("endpoint", &["endpoint"], Part("`url`, if it is http or https")),
    key("timeout", &["timeout"], Part("`timeout`")),
    key("http_headers", &["http_headers"], Part("`headers`")),
    key("emulated_headers", &[], Missing(reasons::HOOK_HEADERS)),
    key("http.static_headers.*", &["static_http_headers.*"], Part("`static_headers`")),
    key("include_connection_meta", &["include_connection_meta"], Part("nothing: `meta` always comes back")),
    key("binary_encoding", &["binary_encoding"], Missing(reasons::HOOK_DATA)),
    key("http.status_to_code_transforms.*", &["http_status_code_transforms.*"], Missing(reasons::HOOK_STATUS)),
    key("http.tls.*", &[], Missing(reasons::HOOK_TLS)),
    key("grpc_metadata", &["grpc_metadata"], Missing(reasons::HOOK_GRPC)),
    key("grpc.*", &["grpc_*"], Missing(reasons::HOOK_GRPC)),
];

/// Returns the table, in paths of v6, of the proxy without a name that is asked this.
pub(super) const fn place(name: HookName) -> &'static str {
    match name {
        HookName::Connect => "client.proxy.connect",
        HookName::Refresh => "client.proxy.refresh",
        HookName::Subscribe => "channel.proxy.subscribe",
        HookName::SubRefresh => "channel.proxy.sub_refresh",
        HookName::Publish => "channel.proxy.publish",
        HookName::Rpc => "rpc.proxy",
    }
}

/// Finds what a path of a file means, if it is a key of a proxy: the key, and its path in v6.
pub(super) fn find(dialect: Dialect, path: &str) -> Option<(&'static Key, String)> {
    let (table, option) = table_and_option(dialect, path)?;
    let key = PROXY.iter().find(|key| dialect.is_meant(key, option) && is_in(key, &table))?;
    let v5 = key.v5.iter().find_map(|pattern| option.strip_prefix(pattern.strip_suffix(".*")?));
    let option = match (key.v6.strip_suffix(".*"), v5) {
        (Some(folder), Some(rest)) => format!("{folder}{rest}"),
        (Some(_), None) => option.to_owned(),
        (None, _) => key.v6.to_owned(),
    };
    Some((key, format!("{table}.{option}")))
}

/// Splits the path of a key of a proxy: the table in v6, and the key in a table.
fn table_and_option(dialect: Dialect, path: &str) -> Option<(String, &str)> {
    if let Some(rest) = path.strip_prefix(NAMED).and_then(|rest| rest.strip_prefix('[')) {
        let (number, option) = rest.split_once("].")?;
        return Some((format!("{NAMED}[{number}]"), option));
    }
    let mut names = HookName::ALL.into_iter();
    if dialect == Dialect::V6 {
        return names
            .find_map(|name| Some((place(name).to_owned(), path.strip_prefix(place(name))?.strip_prefix('.')?)));
    }
    let rest = path.strip_prefix("proxy_")?;
    let own = |name: HookName| {
        let option = rest.strip_prefix(name.word())?.strip_prefix('_')?;
        ["endpoint", "timeout"].contains(&option).then(|| (place(name).to_owned(), option))
    };
    Some(names.find_map(own).unwrap_or_else(|| (SHARED.to_owned(), rest)))
}

/// Returns whether a table has a key: one of a list has a name, one that is always asked can be off, and what proxies
/// share is neither where nor how long they are asked.
fn is_in(key: &Key, table: &str) -> bool {
    match key.v6 {
        "name" => table.starts_with(NAMED),
        "enabled" => table.starts_with("client."),
        "endpoint" | "timeout" => table != SHARED,
        _ => true,
    }
}
