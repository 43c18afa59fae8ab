//! Tests of the conversion: every key is translated or named, no permission gets wider, every file is valid.

use super::key::{Dialect, Fate, Key};
use super::keys::{KEYS, OPTIONS};
use super::proxy_keys::{NAMED, PROXY, place};
use super::*;
use crate::config::{ClientGroup, EngineKind, HookName, NamespaceOptions, SubscriberGroup};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// Converts the settings of a file, and checks that a hub can use the result.
fn imported(settings: &Value) -> (String, Config) {
    let source = Source::new(settings.as_object().unwrap()).unwrap();
    let dialect = source.dialect.name();
    let file = written(Path::new("config.json"), dialect, &convert(source));
    let config = Config::from_toml(&file).unwrap_or_else(|error| panic!("{error}\n{settings}\n{file}"));
    (file, config)
}

/// Returns a path that a pattern of the table means.
fn path(pattern: &str) -> String {
    match pattern.strip_suffix('*') {
        Some(start) => format!("{start}some"),
        None => pattern.to_owned(),
    }
}

/// Returns every path of the table in a dialect, each as a file has it.
fn paths(dialect: Dialect) -> Vec<String> {
    let names = |key: &'static Key| match dialect {
        Dialect::V5 => key.v5.to_vec(),
        Dialect::V6 => Vec::from_iter(Some(key.v6).filter(|name| !name.is_empty())),
    };
    let (default, list) = match dialect {
        Dialect::V5 => ("", "namespaces"),
        Dialect::V6 => ("channel.without_namespace.", "channel.namespaces"),
    };
    let keys = KEYS.iter().flat_map(names).map(path);
    let options = OPTIONS.iter().flat_map(names).map(path);
    let options = options.flat_map(|option| {
        let is_name = option == "name";
        [format!("{list}[0].{option}"), format!("{default}{option}")].into_iter().take(if is_name { 1 } else { 2 })
    });
    keys.chain(options).chain(proxy_paths(dialect)).collect()
}

/// Returns every path of a key of a proxy.
fn proxy_paths(dialect: Dialect) -> Vec<String> {
    let mut paths = Vec::new();
    for key in PROXY {
        let is_client = key.v6 == "enabled";
        let own = ["endpoint", "timeout"].contains(&key.v6);
        let names = if dialect == Dialect::V5 { key.v5.to_vec() } else { vec![key.v6] };
        for name in names.into_iter().map(path) {
            if !is_client {
                paths.push(format!("{NAMED}[0].{name}"));
            }
            match dialect {
                _ if key.v6 == "name" => {}
                Dialect::V6 => {
                    let places = HookName::ALL.map(place);
                    let places = places.iter().filter(|place| !is_client || place.starts_with("client."));
                    paths.extend(places.map(|place| format!("{place}.{name}")));
                }
                Dialect::V5 if own => {
                    paths.extend(HookName::ALL.map(|event| format!("proxy_{}_{name}", event.word())));
                }
                Dialect::V5 => paths.push(format!("proxy_{name}")),
            }
        }
    }
    paths
}

/// Puts a value where a path says.
fn put(settings: &mut Map<String, Value>, path: &str, value: Value) {
    let Some((first, rest)) = path.split_once('.') else {
        settings.insert(path.to_owned(), value);
        return;
    };
    let table = match first.strip_suffix("[0]") {
        Some(list) => {
            let list = settings.entry(list).or_insert_with(|| json!([{ "name": "first" }]));
            list.as_array_mut().and_then(|list| list.first_mut())
        }
        None => Some(settings.entry(first).or_insert_with(|| json!({}))),
    };
    if let Some(table) = table.and_then(Value::as_object_mut) {
        put(table, rest, value);
    }
}

/// A key that disappears is a hub that behaves differently without anybody knowing.
#[test]
fn every_key_of_the_table_is_translated_or_named() {
    let mut count = 0;
    for dialect in [Dialect::V5, Dialect::V6] {
        for path in paths(dialect) {
            for value in [json!(true), json!(7), json!("some-value"), json!("30s"), json!(["a", 1])] {
                let mut settings = Map::new();
                put(&mut settings, &path, value.clone());
                let source = Source::new(&settings).unwrap_or_else(|| panic!("{path} is not known"));
                let conversion = convert(source);
                let file = written(Path::new("x.json"), dialect.name(), &conversion);
                let last = path.rsplit('.').next().unwrap();
                let is_said = file.lines().skip(4).any(|line| line.contains(last));
                assert!(is_said, "{path} = {value} is neither set nor named:\n{file}");
                assert!(!file.contains("not known as a key"), "{path}:\n{file}");
                count += 1;
            }
        }
    }
    assert!(count > 1500, "only {count}: has the table moved?");
}

/// The table and the page say the same of each key once.
#[test]
fn table_has_each_key_once_and_each_reason_is_used() {
    let mut seen = HashSet::new();
    for key in KEYS {
        let v6 = Some((Dialect::V6.name(), key.v6)).filter(|(_, name)| !name.is_empty());
        for name in key.v5.iter().map(|name| (Dialect::V5.name(), *name)).chain(v6) {
            assert!(seen.insert(name), "{name:?} is there twice");
        }
    }
    let reasons = KEYS.iter().chain(OPTIONS).chain(PROXY).filter_map(|key| match key.fate {
        Fate::Fixed(_, reason) | Fate::Unneeded(reason) | Fate::Missing(reason) => Some(reason.name),
        Fate::Setting(_) | Fate::Part(_) => None,
    });
    let used: HashSet<_> = reasons.collect();
    for reason in reasons::ALL {
        assert!(used.contains(reason.name), "{} is said of no key", reason.name);
    }
}

fn options(options: &Value) -> NamespaceOptions {
    let (_, config) = imported(&json!({ "channel": { "without_namespace": options } }));
    config.default_namespace
}

/// Whether a client may do something in Centrifugo: the rule of its handler, with the options for clients, subscribers
/// and anonymous clients.
fn centrifugo_allows([client, subscriber, anonymous]: [bool; 3], has_user: bool, is_subscribed: bool) -> bool {
    client && (has_user || anonymous) || subscriber && is_subscribed && (has_user || anonymous)
}

fn throng_allows(group: ClientGroup, has_user: bool, is_subscribed: bool) -> bool {
    match group {
        ClientGroup::Everyone => true,
        ClientGroup::Authenticated => has_user,
        ClientGroup::Subscribers => is_subscribed,
        ClientGroup::Nobody | ClientGroup::Hook => false,
    }
}

/// Permissions are what must not become wider by a move. The rows are all that the options can say.
#[test]
fn permissions_are_those_of_centrifugo_and_never_wider() {
    for bits in 0..32_u8 {
        let [client, subscriber, anonymous, open, open_to_all] = [0, 1, 2, 3, 4].map(|bit| bits >> bit & 1 == 1);
        for what in ["publish", "presence", "history"] {
            let mut given = json!({
                "presence": true, "history_size": 1, "history_ttl": "1m",
                "allow_subscribe_for_client": open, "allow_subscribe_for_anonymous": open_to_all,
            });
            for (who, is_on) in [("client", client), ("subscriber", subscriber), ("anonymous", anonymous)] {
                given[format!("allow_{what}_for_{who}")] = is_on.into();
            }
            let made = options(&given);
            let subscribe = match (open, open_to_all) {
                (true, true) => SubscriberGroup::Everyone,
                (true, false) => SubscriberGroup::Authenticated,
                (false, _) => SubscriberGroup::Token,
            };
            assert_eq!(made.allow_subscribe, subscribe, "{given}");
            let group = match what {
                "publish" => made.allow_publish,
                "presence" => made.allow_presence,
                _ => made.allow_history,
            };
            for (has_user, is_subscribed) in [(false, false), (false, true), (true, false), (true, true)] {
                // An anonymous client can be subscribed only where everyone may be.
                if is_subscribed && !has_user && subscribe != SubscriberGroup::Everyone {
                    continue;
                }
                let there = centrifugo_allows([client, subscriber, anonymous], has_user, is_subscribed);
                let here = throng_allows(group, has_user, is_subscribed);
                // Where everyone may subscribe, a user that has not yet may do so first.
                let may_subscribe_first = has_user && subscribe == SubscriberGroup::Everyone && subscriber;
                assert!(here == there || here && may_subscribe_first, "{what} {given} {has_user} {is_subscribed}");
            }
        }
    }
}

/// What a proxy decided must not be open to everyone because the proxy is gone.
#[test]
fn channels_that_a_proxy_decided_about_are_closed() {
    let open = json!({ "allow_subscribe_for_client": true, "allow_publish_for_client": true });
    for (keys, is_v5) in [
        (json!({ "subscribe_proxy_enabled": true, "publish_proxy_enabled": true }), false),
        (json!({ "subscribe_stream_proxy_enabled": true, "publish_proxy_enabled": true }), false),
        (json!({ "proxy_subscribe": true, "proxy_publish": true }), true),
        (json!({ "subscribe_proxy_name": "a", "publish_proxy_name": "a" }), true),
    ] {
        let mut given = open.clone();
        given.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        let settings = if is_v5 { given } else { json!({ "channel": { "without_namespace": given } }) };
        let (file, config) = imported(&settings);
        let made = config.default_namespace;
        assert_eq!((made.allow_subscribe, made.allow_publish), (SubscriberGroup::Token, ClientGroup::Nobody));
        assert!(file.contains("To decide, because"), "{file}");
        assert!(file.contains("Until then no client may publish there"), "{file}");
        assert!(config.hooks.is_empty(), "{file}");
    }
    let made = options(&open);
    assert_eq!((made.allow_subscribe, made.allow_publish.word()), (SubscriberGroup::Authenticated, "authenticated"));
}

#[test]
fn broker_that_is_nats_becomes_a_cluster_and_no_other_does() {
    let nats = json!({ "enabled": true, "type": "nats", "nats": { "url": "nats://10.0.0.1:4222, nats://10.0.0.2" } });
    for (settings, servers) in [
        (json!({ "broker": nats }), &["nats://10.0.0.1:4222", "nats://10.0.0.2:4222"][..]),
        (json!({ "broker": "nats", "nats_url": "tls://a:4300" }), &["tls://a:4300"]),
        (json!({ "broker": { "enabled": true, "type": "nats" } }), &["nats://localhost:4222"]),
        (json!({ "broker": { "type": "nats" } }), &[]),
        (json!({ "broker": { "enabled": true, "type": "redis", "nats": { "url": "nats://a" } } }), &[]),
        (json!({ "broker": "nats", "nats_url": "nats://user:secret-1@a" }), &[]),
        // More than streams keep by default.
        (json!({ "broker": "nats", "namespaces": [{ "name": "a", "history_size": 5000, "history_ttl": "60s" }] }), &[]),
    ] {
        let (file, config) = imported(&settings);
        let found: Vec<_> = config.cluster.nats_servers.iter().map(ToString::to_string).collect();
        assert_eq!(found, servers, "{settings}\n{file}");
        assert_eq!(config.cluster.engine == EngineKind::Nats, !servers.is_empty(), "{file}");
        assert_eq!(file.contains("need JetStream on"), !servers.is_empty(), "{file}");
        assert!(!file.contains("secret-1"), "{file}");
    }
}

#[test]
fn personal_channel_is_on_unless_it_has_a_namespace() {
    let given = |more: Value| {
        let mut personal = json!({ "enabled": true });
        personal.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        imported(&json!({ "client": { "subscribe_to_user_personal_channel": personal } }))
    };
    let (file, config) = given(json!({}));
    assert!(config.tokens.personal_channel, "{file}");
    let (file, config) = given(json!({ "personal_channel_namespace": "user", "single_connection": true }));
    assert!(!config.tokens.personal_channel && file.contains("Personal channels have"), "{file}");
    for (namespace, is_on) in [("", true), ("user", false)] {
        let flat = json!({ "user_subscribe_to_personal": true, "user_personal_channel_namespace": namespace });
        assert_eq!(imported(&flat).1.tokens.personal_channel, is_on, "{namespace:?}");
    }
}

/// A value of a file, of any type that a key may have.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        prop_oneof![0..70_000_i64, any::<i64>()].prop_map(Value::from),
        "[0-9]{1,6}(ns|us|ms|s|m|h)".prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        prop_oneof![Just("first"), Just("http://127.0.0.1:3000/a"), Just("grpc://b:1")].prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::collection::vec("[ -~]{0,9}", 0..3).prop_map(Value::from),
        Just(Value::Null),
    ]
}

proptest! {
    /// Whatever a file says: what is printed is a file that a hub can use, or nothing is.
    #[test]
    fn every_file_that_is_made_is_valid(
        is_v5 in any::<bool>(),
        keys in prop::collection::vec((any::<prop::sample::Index>(), value()), 1..24),
    ) {
        let paths = paths(if is_v5 { Dialect::V5 } else { Dialect::V6 });
        let mut settings = Map::new();
        for (index, value) in keys {
            put(&mut settings, index.get::<String>(&paths), value);
        }
        if Source::new(&settings).is_some() {
            imported(&Value::Object(settings));
        }
    }
}
