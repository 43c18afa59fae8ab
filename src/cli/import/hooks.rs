//! Hooks: the backends that a Centrifugo asks become those that the hub asks.

use super::conversion::Conversion;
use super::draft::Literal::{self, List, Number, Text};
use super::draft::Table;
use super::go;
use super::proxy::{Asked, Proxy};
use crate::config::{Config, HookConfig, HookName};

const LIST: &str = HookConfig::SECTION.name;

/// The largest `requests_max`, as Centrifugo has no limit.
const REQUESTS_MAX: u64 = 65_536;

/// A table of a namespace: its path in v6, and the name of the namespace, empty for channels without one.
pub(super) type NamespaceTable = (String, String);

impl Conversion {
    /// Adds a table for each backend that is asked something. `namespaces` are those that are in the file.
    pub(super) fn convert_hooks(&mut self, namespaces: &[NamespaceTable]) {
        use HookName::{Connect, Publish, Refresh, SubRefresh, Subscribe};
        self.decide_for_clients(Refresh);
        self.decide_for_calls();
        let mut count = 0;
        // What makes connections and subscriptions expire comes before what is asked when they do.
        for name in [Connect, Subscribe, Publish, Refresh, SubRefresh] {
            count += self.convert_hook(name, namespaces);
        }
        count += self.convert_calls();
        self.cover_unused_proxies();
        if count > 0 {
            self.notes.remark(
                "[[hook]]: backends are asked as before, with three differences. A field in an answer that \
                 docs/hooks.md does not list (override, caps, allow, skip_history and others) is an error for the \
                 client; redirects are not followed; headers are those of the handshake, not those that an SDK sends \
                 in its first message. Look through what your backends answer and read.",
            );
        }
    }

    /// Adds a table for each proxy that is asked this. Returns how many there are.
    fn convert_hook(&mut self, name: HookName, namespaces: &[NamespaceTable]) -> usize {
        let mut asked = self.proxies.asked(name);
        let mut count = 0;
        while let Some(place) = asked.first().map(|first| first.place.clone()) {
            let (same, others): (Vec<_>, Vec<_>) = asked.into_iter().partition(|one| one.place == place);
            asked = others;
            let Some(proxy) = self.proxies.get(&place).cloned() else { continue };
            let name_of =
                |one: &Asked| namespaces.iter().find(|(path, _)| *path == one.path).map(|(_, name)| name.clone());
            let from = same.iter().map(|one| one.from.as_str()).collect::<Vec<_>>().join(", ");
            let is_about_all = same.iter().any(|one| one.path.is_empty());
            let mut names: Vec<_> = same.iter().filter_map(name_of).collect();
            if names.is_empty() && !is_about_all {
                self.notes.cover(&proxy.keys(), "only namespaces that are left out ask this backend");
                continue;
            }
            // Without names a table is for every channel that no other one is for.
            if names.iter().any(String::is_empty) {
                if name == HookName::SubRefresh {
                    self.remark_on_others(&names, namespaces);
                }
                names.clear();
            }
            count += usize::from(self.push_hook(name, &place, &proxy, names, &from));
        }
        count
    }

    /// Says which namespaces are asked about here only, because channels without one are.
    fn remark_on_others(&mut self, names: &[String], namespaces: &[NamespaceTable]) {
        let asked = self.proxies.asked(HookName::SubRefresh);
        let has_own = |path: &String| asked.iter().any(|one| one.path == *path);
        let others = namespaces.iter().filter(|(path, name)| !names.contains(name) && !has_own(path));
        let others: Vec<_> = others.map(|(_, name)| name.as_str()).collect();
        if !others.is_empty() {
            self.notes.remark(format!(
                "[[hook]] sub_refresh: the backend for channels without a namespace is asked about those of {} too, \
                 which clients renew with a token in Centrifugo. Let it answer \"expired\": true for them, or let \
                 tokens of subscriptions there have no exp.",
                others.join(", ")
            ));
        }
    }

    /// Adds the table of calls, and says which proxies are left out because there is one. Returns how many there are.
    fn convert_calls(&mut self) -> usize {
        let asked = self.proxies.asked(HookName::Rpc);
        let Some((first, rest)) = asked.split_first() else { return 0 };
        let Some(proxy) = self.proxies.get(&first.place).cloned() else { return 0 };
        let mut from = vec![first.from.clone()];
        for one in rest {
            match self.proxies.get(&one.place).cloned() {
                Some(other) if !other.is_same(&proxy) => {
                    let text = format!(
                        "calls of all methods have one backend here, {}, and this is another: {}. It is left out ({}). \
                         Let the first one answer both; the field method says which call it is.",
                        proxy.describe(),
                        other.describe(),
                        other.keys()
                    );
                    self.notes.refuse(&one.from, text);
                }
                Some(other) if one.place != first.place => from.push(format!("{}, {}", one.from, other.keys())),
                _ => from.push(one.from.clone()),
            }
        }
        usize::from(self.push_hook(HookName::Rpc, &first.place, &proxy, Vec::new(), &from.join(", ")))
    }

    /// Adds a table. Returns whether a hub would take it.
    fn push_hook(&mut self, name: HookName, place: &str, proxy: &Proxy, names: Vec<String>, from: &str) -> bool {
        let mut table = Table::new(LIST);
        self.put_in_hook(&mut table, "name", Text(name.word().to_owned()), from);
        if !names.is_empty() {
            self.put_in_hook(&mut table, "namespaces", List(names), "");
        }
        let own_name = self.proxies.names.iter().find(|(_, table)| table == place);
        let url_from = std::iter::once(&proxy.url.name).chain(own_name.map(|(name, _)| &name.name));
        let url_from = url_from.map(String::as_str).collect::<Vec<_>>().join(", ");
        self.put_in_hook(&mut table, "url", Text(proxy.url.value.clone()), &url_from);
        if let Some(timeout) = &proxy.timeout {
            self.put_in_hook(&mut table, "timeout", Text(go::written(timeout.value)), &timeout.name);
        }
        self.put_in_hook(&mut table, "requests_max", Number(REQUESTS_MAX), "no limit in Centrifugo");
        if let Some(headers) = &proxy.options.headers {
            self.put_in_hook(&mut table, "headers", List(headers.value.clone()), &headers.name);
        }
        if !proxy.options.fixed.is_empty() {
            let (values, keys): (Vec<_>, Vec<_>) =
                proxy.options.fixed.iter().map(|one| (one.value.clone(), one.name.clone())).unzip();
            self.put_in_hook(&mut table, "static_headers", List(values), &keys.join(", "));
        }
        self.draft.push(table);
        // Only here: before, what these are asked about is not there yet.
        let is_renewal = matches!(name, HookName::Refresh | HookName::SubRefresh);
        let error = if is_renewal { Config::from_toml(&self.draft.to_toml()).err() } else { None };
        if let Some(error) = &error {
            self.draft.pop();
            let error = error.to_string();
            let error = error.split(" (in line").next().unwrap_or_default();
            self.notes.refuse(&format!("{from}, {}", proxy.keys()), format!("{error}. It is left out."));
        }
        error.is_none()
    }

    /// Sets a key of a table, or reports that it does not take the value.
    fn put_in_hook(&mut self, table: &mut Table, key: &str, value: Literal, from: &str) {
        if let Err(error) = table.set(key, value, from) {
            self.notes.refuse(from, format!("{key}: {error}. It is left out."));
        }
    }
}
