//! Calls: which backend answers those of clients. One does here, whatever the method.

use super::conversion::{Conversion, names};
use super::key::Dialect;
use super::proxy::Decider;
use super::proxy_keys::place;
use crate::config::HookName;

impl Conversion {
    /// Finds out which proxies answer calls.
    pub(super) fn decide_for_calls(&mut self) {
        let list = match self.source.dialect {
            Dialect::V5 if !self.proxies.is_granular => {
                if let Some(endpoint) = self.source.name_of(&format!("{}.endpoint", place(HookName::Rpc))) {
                    self.decide(HookName::Rpc, None, "", &endpoint);
                }
                return;
            }
            Dialect::V5 => "rpc_namespaces",
            Dialect::V6 => "rpc.namespaces",
        };
        let first = self.decide_for_methods("rpc.without_namespace", "proxy_name");
        let option = if self.source.dialect == Dialect::V5 { "rpc_proxy_name" } else { "proxy_name" };
        let rest: Vec<_> = (0..self.source.tables(list))
            .map(|number| self.decide_for_methods(&format!("{list}[{number}]"), option))
            .collect();
        let (unasked, asked): (Vec<_>, Vec<_>) =
            std::iter::once(first).chain(rest).partition(|(decider, _)| *decider == Decider::Options);
        if asked.iter().all(|(decider, _)| *decider != Decider::Hook) {
            return;
        }
        let unasked: Vec<_> = unasked.into_iter().map(|(_, keys)| keys).filter(|keys| !keys.is_empty()).collect();
        let also = if unasked.is_empty() { String::new() } else { format!(", and those of {}", unasked.join(", ")) };
        self.notes.remark(format!(
            "[[hook]] rpc: the backend is asked about calls of every method, also those that Centrifugo refuses \
             itself: methods of a namespace that the file does not have{also}. Let it refuse them."
        ));
    }

    /// Finds out whether a proxy answers the calls of a namespace. Returns the keys of the namespace too.
    fn decide_for_methods(&mut self, path: &str, option: &str) -> (Decider, String) {
        let name = self.text(&format!("{path}.name"));
        let enabled = self.switch(&format!("{path}.proxy_enabled"));
        let proxy = self.text(&format!("{path}.{option}"));
        let [name_key, proxy_key] = [&name, &proxy].map(|one| one.as_ref().map(|one| &*one.name));
        let from = names([name_key, enabled.as_ref().map(|one| &*one.name), proxy_key]);
        if enabled.is_some() || self.source.dialect == Dialect::V5 && proxy.is_some() {
            return (self.decide(HookName::Rpc, proxy.as_ref(), "", &from), from);
        }
        let is_given = name.is_some() || proxy.is_some();
        if is_given {
            self.notes.cover(&from, "no proxy is enabled for its methods");
        }
        (Decider::Options, if is_given { from } else { String::new() })
    }
}
