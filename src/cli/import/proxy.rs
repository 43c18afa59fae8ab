//! A proxy: a backend that a Centrifugo asks, and what is known of all of them while a file is converted.

use super::given::Given;
use super::go;
use crate::config::HookName;
use std::collections::BTreeMap;
use std::time::Duration;

/// Timeout of a proxy that has none, which is that of a hook too.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);

/// What decides in Centrifugo about something that a proxy can decide.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Decider {
    /// No proxy.
    Options,
    /// A proxy that a hook can stand for.
    Hook,
    /// A proxy that no hook can stand for.
    Gone,
}

/// A backend, and how it is asked.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    pub(super) url: Given<String>,
    pub(super) timeout: Option<Given<Duration>>,
    pub(super) options: Options,
}

/// What requests to a backend have.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    /// Names of headers of clients that are passed on.
    pub(super) headers: Option<Given<Vec<String>>>,
    /// Headers that every request has, each as `NAME: VALUE`.
    pub(super) fixed: Vec<Given<String>>,
}

/// What became of a proxy that is asked something.
#[derive(Debug)]
pub(super) enum Known {
    Proxy(Box<Proxy>),
    /// It is asked over gRPC.
    Grpc,
    /// It cannot be asked, for this reason.
    Refused(String),
}

/// A question that a hook is to stand for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) name: HookName,
    /// The table of the proxy, in paths of v6.
    pub(super) place: String,
    /// The table of the namespace that is asked about, in paths of v6; empty if it is not about channels.
    pub(super) path: String,
    /// The keys that say so.
    pub(super) from: String,
}

/// What is known of all proxies.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    /// Whether proxies are found by their names only, in v5.
    pub(super) is_granular: bool,
    /// The names of those that have one, each with its table.
    pub(super) names: Vec<(Given<String>, String)>,
    /// Those that are asked something, by their tables.
    pub(super) known: BTreeMap<String, Known>,
    /// What their requests have, by the tables that say it.
    pub(super) options: BTreeMap<String, Options>,
    pub(super) asked: Vec<Asked>,
}

impl Proxies {
    /// Returns a proxy that can be asked.
    pub(super) fn get(&self, place: &str) -> Option<&Proxy> {
        if let Some(Known::Proxy(proxy)) = self.known.get(place) { Some(proxy) } else { None }
    }

    /// Returns what is asked by this name.
    pub(super) fn asked(&self, name: HookName) -> Vec<Asked> {
        self.asked.iter().filter(|one| one.name == name).cloned().collect()
    }
}

impl Proxy {
    /// Returns the keys that say what it is.
    pub(super) fn keys(&self) -> String {
        let timeout = self.timeout.as_ref().map(|timeout| timeout.name.as_str());
        let headers = self.options.headers.as_ref().map(|headers| headers.name.as_str());
        let fixed = self.options.fixed.iter().map(|fixed| fixed.name.as_str());
        let keys = std::iter::once(self.url.name.as_str()).chain(timeout).chain(headers).chain(fixed);
        keys.collect::<Vec<_>>().join(", ")
    }

    /// Returns whether requests to both are the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let timeout = |one: &Self| one.timeout.as_ref().map(|timeout| timeout.value);
        let headers = |one: &Self| one.options.headers.as_ref().map(|headers| headers.value.clone());
        let fixed = |one: &Self| one.options.fixed.iter().map(|fixed| fixed.value.clone()).collect::<Vec<_>>();
        self.url.value == other.url.value
            && timeout(self) == timeout(other)
            && headers(self) == headers(other)
            && fixed(self) == fixed(other)
    }

    /// Returns what it is in words, without what may be a secret: queries and values of headers.
    pub(super) fn describe(&self) -> String {
        let timeout = self.timeout.as_ref().map_or(DEFAULT_TIMEOUT, |timeout| timeout.value);
        let url = self.url.value.split(['?', '#']).next().unwrap_or_default();
        let mut text = format!("{url} with timeout {}", go::written(timeout));
        let passed = self.options.headers.iter().flat_map(|headers| headers.value.iter().map(String::as_str));
        let fixed = self.options.fixed.iter().filter_map(|fixed| fixed.value.split(':').next());
        for (what, names) in [("headers", passed.collect::<Vec<_>>()), ("static_headers", fixed.collect())] {
            if !names.is_empty() {
                text = format!("{text}, {what} {}", names.join(" "));
            }
        }
        text
    }
}
