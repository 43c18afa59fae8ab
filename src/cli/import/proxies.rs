//! Proxies: which backends a Centrifugo asks, and whether a hook can stand for each.

use super::conversion::{Conversion, names};
use super::given::Given;
use super::go;
use super::key::Dialect;
use super::proxy::{Asked, Decider, Known, Options, Proxy};
use super::proxy_keys::{NAMED, SHARED, place};
use super::reasons;
use crate::config::{ClientHeader, HookName, HttpUrl, StaticHeader};
use std::collections::BTreeSet;

/// Name of the proxy of v6 that has no name.
const WITHOUT_NAME: &str = "default";

impl Conversion {
    /// Reads the names of proxies, and finds out whether one is asked about clients without a token.
    pub(super) fn convert_connect_proxy(&mut self) -> Decider {
        if let Some(granular) = self.switch("granular_proxy_mode") {
            self.proxies.is_granular = true;
            self.notes.cover(&granular.name, "each proxy is the one whose name is given");
        }
        for number in 0..self.source.tables(NAMED) {
            let table = format!("{NAMED}[{number}]");
            if let Some(name) = self.text(&format!("{table}.name")) {
                self.proxies.names.push((name, table));
            }
        }
        self.decide_for_clients(HookName::Connect)
    }

    /// Finds out whether a proxy is asked something that is not about a channel.
    pub(super) fn decide_for_clients(&mut self, name: HookName) -> Decider {
        match self.source.dialect {
            Dialect::V6 => {
                let enabled = self.switch(&format!("{}.enabled", place(name)));
                enabled.map_or(Decider::Options, |enabled| self.decide(name, None, "", &enabled.name))
            }
            Dialect::V5 if self.proxies.is_granular => {
                let proxy = self.text(&format!("{}_proxy_name", name.word()));
                proxy.map_or(Decider::Options, |proxy| self.decide(name, Some(&proxy), "", &proxy.name))
            }
            Dialect::V5 => {
                let endpoint = self.source.name_of(&format!("{}.endpoint", place(name)));
                endpoint.map_or(Decider::Options, |endpoint| self.decide(name, None, "", &endpoint))
            }
        }
    }

    /// Finds out whether a proxy is asked about the channels of a table.
    pub(super) fn decide_for_channels(&mut self, name: HookName, path: &str) -> (Decider, String) {
        let enabled = self.switch(&format!("{path}.{}_proxy_enabled", name.word()));
        let proxy = self.text(&format!("{path}.{}_proxy_name", name.word()));
        let from = names([enabled.as_ref().map(|one| &*one.name), proxy.as_ref().map(|one| &*one.name)]);
        // In v5 a name is enough.
        if enabled.is_some() || self.source.dialect == Dialect::V5 && proxy.is_some() {
            return (self.decide(name, proxy.as_ref(), path, &from), from);
        }
        if let Some(proxy) = proxy {
            self.notes.cover(&proxy.name, "the proxy is not enabled there, so nothing asks it");
        }
        (Decider::Options, from)
    }

    /// Notes that a proxy is asked something, by its name or the one for it that has none.
    pub(super) fn decide(&mut self, name: HookName, proxy: Option<&Given<String>>, path: &str, from: &str) -> Decider {
        let Some(place) = self.place_of(name, proxy, from) else { return Decider::Gone };
        if !self.proxies.known.contains_key(&place) {
            let known = self.read_proxy(&place);
            self.proxies.known.insert(place.clone(), known);
        }
        match self.proxies.known.get(&place) {
            Some(Known::Proxy(_)) => {
                self.proxies.asked.push(Asked { name, place, path: path.to_owned(), from: from.to_owned() });
                return Decider::Hook;
            }
            Some(Known::Refused(text)) => self.notes.refuse(from, format!("{text}{}", until_then(name))),
            Some(Known::Grpc) | None => self.notes.miss(from, reasons::HOOK_GRPC),
        }
        Decider::Gone
    }

    /// Finds the table of a proxy, or says that there is none.
    fn place_of(&mut self, name: HookName, proxy: Option<&Given<String>>, from: &str) -> Option<String> {
        let is_named = match self.source.dialect {
            Dialect::V5 => self.proxies.is_granular,
            Dialect::V6 => proxy.is_some_and(|proxy| proxy.value != WITHOUT_NAME),
        };
        if !is_named {
            return Some(place(name).to_owned());
        }
        let Some(proxy) = proxy else {
            let word = name.word();
            let text = format!("{word}_proxy_name is missing, which granular_proxy_mode needs; add a [[hook]] {word}");
            self.notes.refuse(from, text + until_then(name));
            return None;
        };
        let found = self.proxies.names.iter().find(|(name, _)| name.value == proxy.value);
        let table = found.map(|(_, table)| table.clone());
        if table.is_none() {
            let text = format!("there is no {:?} in proxies; add a [[hook]] {} with its url", proxy.value, name.word());
            self.notes.refuse(from, text + until_then(name));
        }
        table
    }

    /// Reads how a backend is asked.
    fn read_proxy(&mut self, place: &str) -> Known {
        let Some(url) = self.text(&format!("{place}.endpoint")) else {
            return Known::Refused(format!("there is no endpoint for it ({place}); add a [[hook]] with the url"));
        };
        // Everything else is gRPC in Centrifugo.
        if !["http://", "https://"].iter().any(|scheme| url.value.starts_with(scheme)) {
            let mut keys = vec![url.name];
            self.take_unused(&format!("{place}."), &mut keys);
            self.notes.miss(keys.join(", "), reasons::HOOK_GRPC);
            return Known::Grpc;
        }
        if url.value.parse::<HttpUrl>().is_err() {
            let text = "its value is not a URL such as http://127.0.0.1:3000/hooks, without a user and a password. Add \
                        a [[hook]] with one, and let static_headers have \"Authorization: ...\" if the backend \
                        wants it.";
            self.notes.refuse(&url.name, text);
            return Known::Refused(format!("{} cannot be asked", url.name));
        }
        let timeout = self.duration(&format!("{place}.timeout"));
        Known::Proxy(Box::new(Proxy { url, timeout, options: self.options_of(place) }))
    }

    /// Reads what requests to a backend have. In v5 those without a name have the same.
    fn options_of(&mut self, place: &str) -> Options {
        let is_shared = self.source.dialect == Dialect::V5 && !place.starts_with(NAMED);
        let table = if is_shared { SHARED } else { place };
        if let Some(known) = self.proxies.options.get(table) {
            return known.clone();
        }
        let fixed = self.static_headers(&format!("{table}.http.static_headers."));
        let headers = self.list(&format!("{table}.http_headers")).map(|given| self.passed_headers(given, &fixed));
        if let Some(meta) = self.switch(&format!("{table}.include_connection_meta")) {
            self.notes.cover(&meta.name, "what the answer to connect has as meta comes back with every question");
        }
        let options = Options { headers: headers.filter(|headers| !headers.value.is_empty()), fixed };
        self.proxies.options.insert(table.to_owned(), options.clone());
        options
    }

    /// Reads the headers that every request has. Their values may be secrets.
    fn static_headers(&mut self, start: &str) -> Vec<Given<String>> {
        let mut headers = Vec::new();
        for (path, leaf) in self.source.take_all(start) {
            let name = path.strip_prefix(start).unwrap_or_default();
            let header = go::text(&leaf.value).and_then(|value| {
                // A key that is there twice has another path than name.
                name.parse::<ClientHeader>().map_err(|error| error.to_string())?;
                let text = format!("{name}: {value}");
                text.parse::<StaticHeader>().map(|_| text).map_err(|error| error.to_string())
            });
            match header {
                _ if !leaf.name.to_lowercase().ends_with(name) => {
                    self.notes
                        .refuse(&leaf.name, "it is there twice, in small letters and in capitals; the other counts");
                }
                Ok(value) => headers.push(Given { value, name: leaf.name }),
                Err(error) => self.notes.refuse(&leaf.name, format!("static_headers: {error}. It is left out.")),
            }
        }
        headers
    }

    /// Leaves out the names of headers that cannot be passed on, and says so.
    fn passed_headers(&mut self, mut given: Given<Vec<String>>, fixed: &[Given<String>]) -> Given<Vec<String>> {
        let fixed: BTreeSet<_> = fixed.iter().filter_map(|one| one.value.split(':').next()).collect();
        given.value.retain(|text| {
            let fault = match text.parse::<ClientHeader>() {
                Err(error) => format!("headers: {error}"),
                Ok(header) if fixed.contains(header.name.as_str()) => {
                    format!("headers: {text} is a static header too, and here the value of a client never replaces one")
                }
                Ok(_) => return true,
            };
            self.notes.refuse(&given.name, format!("{fault}. It is left out."));
            false
        });
        given
    }

    /// Says which proxies nothing asks.
    pub(super) fn cover_unused_proxies(&mut self) {
        let named = (0..self.source.tables(NAMED)).map(|number| format!("{NAMED}[{number}]"));
        let tables: Vec<_> = HookName::ALL.map(|name| place(name).to_owned()).into_iter().chain(named).collect();
        let mut names: Vec<String> = Vec::new();
        for table in tables {
            if self.proxies.get(&table).is_none() {
                self.take_unused(&format!("{table}."), &mut names);
            }
        }
        if !self.proxies.options.contains_key(SHARED) {
            self.take_unused(&format!("{SHARED}."), &mut names);
        }
        for start in ["connect_proxy_name", "refresh_proxy_name", "rpc.without_namespace.proxy_name", "rpc_namespaces["]
        {
            self.take_unused(start, &mut names);
        }
        let is_unused = |table: &String| self.proxies.get(table).is_none();
        names
            .extend(self.proxies.names.iter().filter(|(_, table)| is_unused(table)).map(|(name, _)| name.name.clone()));
        if !names.is_empty() {
            self.notes.cover(&names.join(", "), "nothing in the file below asks this backend");
        }
    }

    /// Takes all keys that begin so, and adds the names of those that are set.
    fn take_unused(&mut self, start: &str, names: &mut Vec<String>) {
        for (_, leaf) in self.source.take_all(start) {
            if go::is_zero(&leaf.value) {
                self.notes.off(leaf.name);
            } else {
                names.push(leaf.name);
            }
        }
    }
}

/// Returns what the file does about a question without a hook.
const fn until_then(name: HookName) -> &'static str {
    match name {
        HookName::Subscribe => ". Until then subscribing needs a token that names the channel.",
        HookName::Publish => ". Until then no client may publish there.",
        HookName::Connect | HookName::Refresh | HookName::SubRefresh | HookName::Rpc => ".",
    }
}
