//! Namespaces: who may do what in which channels, and what is kept of them.
//!
//! In Centrifugo a namespace has the program's defaults for what it leaves out, and here those of
//! `[default_namespace]`. So every table says everything.

use super::conversion::{Conversion, DEFAULT};
use super::draft::Literal::{Number, Switch, Text};
use super::draft::{Literal, Table};
use super::go;
use super::hooks::NamespaceTable;
use super::key::Dialect;
use super::proxy::Decider;
use crate::config::{ClientGroup, HookName, NamespaceConfig, RecoveryMode, SubscriberGroup};
use std::collections::HashSet;

const LIST: &str = NamespaceConfig::SECTION.name;

/// Budget of all histories, which Centrifugo does not have. The default, stated so that it is seen.
const HISTORY_BYTES: &str = "64MiB";

/// Options of channels without a namespace.
const WITHOUT: &str = "channel.without_namespace";

impl Conversion {
    /// Sets everything about channels. Returns the tables that are in the file.
    pub(super) fn convert_namespaces(&mut self, may_everything: bool) -> Vec<NamespaceTable> {
        let mut default = Table::new(LIST);
        let mut has_history = self.convert_options(WITHOUT, &mut default, may_everything);
        default.into_default(&mut self.draft);
        let mut made = vec![(WITHOUT.to_owned(), String::new())];
        let mut names = HashSet::new();
        for number in 0..self.source.tables("channel.namespaces") {
            let path = format!("channel.namespaces[{number}]");
            let mut table = Table::new(LIST);
            let name = self.text(&format!("{path}.name"));
            let label = name.as_ref().map_or_else(|| path.clone(), |name| name.name.clone());
            let is_named = match &name {
                None => Err("a namespace without a name is left out; channels of it are refused".to_owned()),
                Some(name) if !names.insert(name.value.clone()) => {
                    Err(format!("there are two namespaces {:?}; the second is left out", name.value))
                }
                Some(name) => table
                    .set("name", Text(name.value.clone()), "")
                    .map_err(|error| format!("{error}. The namespace is left out; its channels are refused")),
            };
            has_history |= self.convert_options(&path, &mut table, may_everything);
            match is_named {
                Ok(()) => {
                    self.draft.push(table);
                    made.push((path, name.map(|name| name.value).unwrap_or_default()));
                }
                Err(text) => self.notes.refuse(&label, text),
            }
        }
        if has_history {
            self.set("history_bytes_max", Text(HISTORY_BYTES.to_owned()), "all histories together; raise it if needed");
        }
        made
    }

    /// Sets all options of a table. Returns whether its channels have a history.
    fn convert_options(&mut self, path: &str, table: &mut Table, may_everything: bool) -> bool {
        let has_history = self.convert_history(path, table);
        let (subscribers, names) = self.decide_subscribing(path, may_everything);
        let publish = self.decide_publishing(path, subscribers, may_everything);
        let [presence, history] =
            ["allow_presence", "allow_history"].map(|option| self.clients(path, option, subscribers, may_everything));
        self.decide_for_channels(HookName::SubRefresh, path);
        self.convert_presence(path, table, presence.0);
        self.put(table, "allow_subscribe", Text(subscribers.word().to_owned()), &names);
        for (option, (group, names)) in
            [("allow_publish", publish), ("allow_presence", presence), ("allow_history", history)]
        {
            self.put(table, option, Text(group.word().to_owned()), &names);
        }
        has_history
    }

    /// Returns who may subscribe. A proxy decides in Centrifugo before any option does.
    fn decide_subscribing(&mut self, path: &str, may_everything: bool) -> (SubscriberGroup, String) {
        let (decider, from) = self.decide_for_channels(HookName::Subscribe, path);
        let (group, names) = self.subscribers(path, may_everything);
        let (group, from) = match decider {
            Decider::Hook => (SubscriberGroup::Hook, from),
            Decider::Gone => (SubscriberGroup::Token, from),
            Decider::Options if self.has_stream(path) => (SubscriberGroup::Token, "a proxy decided".to_owned()),
            Decider::Options => return (group, names),
        };
        self.cover_options(&names);
        (group, from)
    }

    /// Returns who may publish.
    fn decide_publishing(
        &mut self,
        path: &str,
        subscribers: SubscriberGroup,
        may_everything: bool,
    ) -> (ClientGroup, String) {
        let (decider, from) = self.decide_for_channels(HookName::Publish, path);
        // Who may subscribe is of no account for a proxy.
        let subscribers = if decider == Decider::Options { subscribers } else { SubscriberGroup::Token };
        let (group, names) = self.clients(path, "allow_publish", subscribers, may_everything);
        let (group, from) = match decider {
            Decider::Hook => (ClientGroup::Hook, from),
            Decider::Gone => (ClientGroup::Nobody, from),
            Decider::Options if self.has_stream(path) => (ClientGroup::Nobody, "a proxy decided".to_owned()),
            Decider::Options => return (group, names),
        };
        self.cover_options(&names);
        (group, from)
    }

    /// Says of options that a proxy decides instead.
    fn cover_options(&mut self, names: &str) {
        if ![DEFAULT, INSECURE, NOTHING].contains(&names) {
            self.notes.cover(names, "a proxy decides instead, in Centrifugo too");
        }
    }

    /// Returns whether a stream of a backend decides in Centrifugo. The keys stay to be reported.
    fn has_stream(&self, path: &str) -> bool {
        let is_on = |key: &str| self.source.is_on(&format!("{path}.subscribe_stream_proxy_{key}"));
        // In v5 a name is enough.
        is_on("enabled") || self.source.dialect == Dialect::V5 && is_on("name")
    }

    fn convert_history(&mut self, path: &str, table: &mut Table) -> bool {
        let size = self.number(&format!("{path}.history_size"));
        let ttl = self.duration(&format!("{path}.history_ttl"));
        let size_from = from([size.as_ref().map(|one| &one.name)]);
        let ttl_from = from([ttl.as_ref().map(|one| &one.name)]);
        let (size, ttl) = (size.map_or(0, |size| size.value), ttl.map(|ttl| ttl.value).unwrap_or_default());
        let has_size = self.put(table, "history_size", Number(size), &size_from);
        let has_ttl = self.put(table, "history_ttl", Text(go::written(ttl)), &ttl_from);
        // What is left out has a default here, with a history.
        if !has_size {
            self.put(table, "history_size", Number(0), "no history, see above");
        }
        if !has_ttl {
            self.put(table, "history_ttl", Text("0s".to_owned()), "no history, see above");
        }
        let has_history = has_size && has_ttl && size > 0 && !ttl.is_zero();
        for (option, keys) in [
            ("recovery", ["force_recovery", "allow_recovery"]),
            ("positioning", ["force_positioning", "allow_positioning"]),
        ] {
            let on: Vec<_> = keys.into_iter().filter_map(|key| self.switch(&format!("{path}.{key}"))).collect();
            if on.is_empty() || has_history {
                self.put(table, option, Switch(!on.is_empty()), &from(on.iter().map(|one| Some(&one.name))));
                continue;
            }
            self.put(table, option, Switch(false), "no history");
            let names = from(on.iter().map(|one| Some(&one.name)));
            let text = format!("{option} needs a history; set history_size and history_ttl, and turn {option} on");
            self.notes.refuse(&names, text);
        }
        self.convert_recovery_mode(path, table);
        self.convert_deltas(path, table);
        has_history
    }

    /// Allows deltas. Where Centrifugo needs both keys, every publication is one here if that is shorter.
    fn convert_deltas(&mut self, path: &str, table: &mut Table) {
        let types = self.list(&format!("{path}.allowed_delta_types"));
        let publish = self.switch(&format!("{path}.delta_publish"));
        let is_on = types.as_ref().is_some_and(|types| types.value.iter().any(|one| one == "fossil"));
        let names = from([types.as_ref().map(|one| &one.name), publish.as_ref().map(|one| &one.name)]);
        if !is_on && (types.is_some() || publish.is_some()) {
            let text = "nobody gets deltas without fossil in allowed_delta_types, in Centrifugo too, so it is left out";
            self.notes.refuse(&names, text);
        }
        self.put(table, "delta", Switch(is_on), if is_on { &names } else { DEFAULT });
    }

    fn convert_recovery_mode(&mut self, path: &str, table: &mut Table) {
        let mode = self.text(&format!("{path}.force_recovery_mode"));
        let is_put = mode.is_some_and(|mode| self.put(table, "recovery_mode", Text(mode.value), &mode.name));
        if !is_put {
            self.put(table, "recovery_mode", Text(RecoveryMode::Stream.word().to_owned()), DEFAULT);
        }
    }

    /// Sets presence and joins. Joins need presence here, for which every subscriber may ask, and not in Centrifugo.
    fn convert_presence(&mut self, path: &str, table: &mut Table, may_ask: ClientGroup) {
        let presence = self.switch(&format!("{path}.presence"));
        let joins = self.switch(&format!("{path}.join_leave"));
        let forced = self.switch(&format!("{path}.force_push_join_leave"));
        let joins_from = from([joins.as_ref().map(|one| &one.name), forced.as_ref().map(|one| &one.name)]);
        if let Some(forced) = forced.filter(|_| joins.is_none()) {
            let text = "without join_leave there is nothing to push, in Centrifugo too, so it is left out";
            self.notes.refuse(&forced.name, text);
        }
        let is_open = presence.is_some() && matches!(may_ask, ClientGroup::Everyone | ClientGroup::Subscribers);
        if joins.is_some() && !is_open {
            let text = "it tells all subscribers who is there, for which they may not ask; to have it, turn presence \
                        and join_leave on and set allow_presence to \"subscribers\"";
            self.notes.refuse(&joins_from, text);
        }
        let has_joins = joins.is_some() && is_open;
        self.put(table, "presence", Switch(presence.is_some()), &from([presence.as_ref().map(|one| &one.name)]));
        self.put(table, "join_leave", Switch(has_joins), if has_joins { &joins_from } else { DEFAULT });
    }

    /// Returns who may subscribe. Alone, the option for anonymous clients opens nothing.
    fn subscribers(&mut self, path: &str, may_everything: bool) -> (SubscriberGroup, String) {
        let client = self.switch(&format!("{path}.allow_subscribe_for_client"));
        let anonymous = self.switch(&format!("{path}.allow_subscribe_for_anonymous"));
        let names = from([client.as_ref().map(|one| &one.name), anonymous.as_ref().map(|one| &one.name)]);
        if let Some(anonymous) = anonymous.as_ref().filter(|_| client.is_none() && !may_everything) {
            let text = "without allow_subscribe_for_client it opens nothing, in Centrifugo too, so it is left out";
            self.notes.refuse(&anonymous.name, text);
        }
        match (client.is_some(), anonymous.is_some()) {
            _ if may_everything => (SubscriberGroup::Everyone, INSECURE.to_owned()),
            (true, true) => (SubscriberGroup::Everyone, names),
            (true, false) => (SubscriberGroup::Authenticated, names),
            (false, _) => (SubscriberGroup::Token, if names == DEFAULT { names } else { NOTHING.to_owned() }),
        }
    }

    /// Returns who may do something else than to subscribe.
    fn clients(
        &mut self,
        path: &str,
        option: &str,
        subscribe: SubscriberGroup,
        may_everything: bool,
    ) -> (ClientGroup, String) {
        let [client, subscriber, anonymous] =
            ["client", "subscriber", "anonymous"].map(|who| self.switch(&format!("{path}.{option}_for_{who}")));
        let names = from([&client, &subscriber, &anonymous].map(|one| one.as_ref().map(|one| &one.name)));
        let group = match (client.is_some(), subscriber.is_some(), anonymous.is_some()) {
            _ if may_everything => return (ClientGroup::Everyone, INSECURE.to_owned()),
            (true, _, true) => ClientGroup::Everyone,
            (true, _, false) => ClientGroup::Authenticated,
            (false, true, true) => ClientGroup::Subscribers,
            // Anonymous subscribers may not, and there is no word for the others. Everyone may subscribe, so it is the
            // same whether they have.
            (false, true, false) if subscribe == SubscriberGroup::Everyone => ClientGroup::Authenticated,
            (false, true, false) => ClientGroup::Subscribers,
            (false, false, _) => ClientGroup::Nobody,
        };
        if group == ClientGroup::Subscribers && subscribe == SubscriberGroup::Hook && anonymous.is_none() {
            let text = format!(
                "{option} = \"subscribers\" holds for anonymous clients too, if the backend lets them subscribe. Let \
                 it refuse clients without a user, or set {option} to \"authenticated\", which is for users who have \
                 not subscribed too."
            );
            self.notes.refuse(&names, text);
        }
        if let Some(anonymous) = anonymous.filter(|_| group == ClientGroup::Nobody) {
            let text = format!(
                "without {option}_for_client or {option}_for_subscriber it opens nothing, in Centrifugo too, so it is \
                 left out"
            );
            self.notes.refuse(&anonymous.name, text);
        }
        (group, names)
    }

    /// Sets a key of a table, or reports that it does not take the value. Returns whether it is set.
    fn put(&mut self, table: &mut Table, key: &str, value: Literal, from: &str) -> bool {
        // The default of Centrifugo is no news in each of many tables.
        let names = from.split(", ").filter(|_| from != DEFAULT).map(|name| name.rsplit('.').next().unwrap_or(name));
        let error = table.set(key, value, &names.collect::<Vec<_>>().join(", ")).err();
        if let Some(error) = &error {
            self.notes.refuse(from, error.to_string());
        }
        error.is_none()
    }
}

/// Where a value comes from if options are given that open nothing.
const NOTHING: &str = "nothing allows more";

/// Where a value comes from if every client may do everything.
const INSECURE: &str = "every client may do everything";

/// Joins the names of keys that are given.
fn from<'a>(names: impl IntoIterator<Item = Option<&'a String>>) -> String {
    super::conversion::names(names.into_iter().map(|name| name.map(String::as_str)))
}
