//! Settings: keys that correspond to one setting each, and what Centrifugo does not limit.

use super::conversion::{Conversion, DEFAULT, names};
use super::draft::Literal::{self, Number, Text};
use super::given::Given;
use super::go;
use super::key::{Fate, Key, One, Read};
use super::keys::KEYS;
use crate::config::section::single_settings;
use crate::config::setting::Kind;
use crate::config::{Config, Setting};
use std::time::Duration;

/// Settings whose defaults here do what Centrifugo does not do, each with a value that does not either.
const UNLIMITED: [(&str, u64); 6] = [
    ("connections_per_address_max", 1 << 32),
    ("handshakes_per_address_max", 1 << 20),
    ("handshake_rate_per_address_max", 1_000_000),
    ("message_rate_max", 1_000_000),
    ("message_bytes_rate_max", u32::MAX as u64),
    ("channels_max", 1 << 32),
];

impl Conversion {
    /// Sets everything that one key decides alone.
    pub(super) fn convert_settings(&mut self) {
        for key in KEYS {
            if let Fate::Setting(one) = &key.fate {
                self.convert_one(key, one);
            }
        }
        for (setting, value) in UNLIMITED {
            self.set(setting, Number(value), "no limit in Centrifugo; throng's default is safer on a public address");
        }
        self.convert_stopping();
        self.check_pings();
        self.check_outbox();
    }

    fn convert_one(&mut self, key: &Key, one: &One) {
        // Keys that v6 does not have are found by their name in v5.
        let path = if key.v6.is_empty() { key.v5.first().copied().unwrap_or_default() } else { key.v6 };
        let given = match one.read {
            Read::Duration => self.duration(path).map(|given| text_of(given, |value| Text(go::written(value)))),
            Read::Number => self.number(path).map(|given| text_of(given, Number)),
            Read::Limit => self.number(path).map(|given| text_of(given, Number)),
            Read::Level => self.text(path).map(|given| text_of(given, |level| Text(level_of(&level)))),
        };
        if let Some(given) = given
            && self.set(one.setting, given.value, &given.name)
        {
            return;
        }
        match (one.default, one.read) {
            (Some("0"), Read::Limit) => {
                self.set(one.setting, Number(largest(one.setting)), "default of Centrifugo: no limit");
            }
            (Some(default), _) => {
                self.set(one.setting, Text(default.to_owned()), DEFAULT);
            }
            (None, _) => {}
        }
    }

    /// Sets the times of a stop: Centrifugo closes all connections at once.
    fn convert_stopping(&mut self) {
        let grace = self.duration("shutdown_termination_delay");
        let (grace, from) = match &grace {
            Some(grace) => (go::written(grace.value), grace.name.as_str()),
            None => ("0s".to_owned(), DEFAULT),
        };
        self.set("lb_grace", Text(grace), from);
        let why = "Centrifugo closes all clients at once; a longer time spreads their reconnects";
        self.set("drain_time", Text("0s".to_owned()), why);
    }

    /// A ping has to be answered before the next one, in Centrifugo too.
    fn check_pings(&mut self) {
        let [ping, pong] = ["ping_interval", "pong_timeout"].map(|setting| {
            let text = self.draft.text(setting);
            humantime::parse_duration(&text).unwrap_or(Duration::MAX)
        });
        if pong >= ping {
            let from = ["ping_interval", "pong_timeout"].map(|setting| self.draft.unset(setting));
            let from = names(from.iter().map(|name| name.as_deref().filter(|name| *name != DEFAULT)));
            let text = format!(
                "pong_timeout {} is not shorter than ping_interval {}, which Centrifugo does not take either. Both are \
                 left out, so the defaults of throng hold.",
                go::written(pong),
                go::written(ping)
            );
            self.notes.refuse(&from, text);
        }
    }

    /// What waits for a client has to have room for one message.
    fn check_outbox(&mut self) {
        let [outbox, message] =
            ["outbox_bytes_max", "message_bytes_max"].map(|setting| self.draft.text(setting).parse().unwrap_or(0));
        if message > outbox {
            if let Some(from) = self.draft.unset("outbox_bytes_max") {
                let text = format!("{outbox} has no room for one message, so outbox_bytes_max is {message}");
                self.notes.refuse(&from, text);
            }
            self.set("outbox_bytes_max", Number(message), "at least message_bytes_max");
        }
    }
}

fn text_of<T>(given: Given<T>, literal: impl FnOnce(T) -> Literal) -> Given<Literal> {
    Given { value: literal(given.value), name: given.name }
}

/// Returns the filter of a level of Centrifugo.
fn level_of(level: &str) -> String {
    match level.to_lowercase().as_str() {
        "none" => "off".to_owned(),
        "fatal" => "error".to_owned(),
        level => level.to_owned(),
    }
}

/// Returns the largest value of a setting.
fn largest(setting: &str) -> u64 {
    let kind =
        single_settings(Config::SCHEMA).find(|(_, one)| one.key == setting).map(|(_, one): (_, &Setting)| one.kind);
    match kind {
        Some(Kind::Number(_, range)) => range.max,
        _ => 0,
    }
}
