//! Namespaces: groups of channels with options in common, named by the part of a channel's name before its first `:`.
//!
//! The options are declared once, as [`NamespaceOptions`]. `[default_namespace]` has those of channels without a
//! namespace, and each `[[namespace]]` inherits from there what it leaves out: closing the default namespace closes
//! every other one that does not say otherwise.

use super::error::ConfigError;
use super::hub_limits::SlowConsumer;
use super::namespace_name::NamespaceName;
use super::section::section;
use super::setting::DefaultValue::Unset;
use super::setting::Kind::{Choice, Switch, Text};
use super::setting::{DAY, SECOND, bytes_or_default, computed, count, duration_or_off, text};
use super::tables::TableKey;
use super::value::choice;
use std::time::Duration;

/// Most publications of one history: far more than a client recovers, and a bound on what one channel may hold.
const HISTORY_SIZE_MAX: u64 = 1 << 20;

/// Shortest time that a publication is kept: shorter ones expire before a client has reconnected.
const HISTORY_TTL_MIN: u64 = SECOND;

/// Longest one: what is kept longer belongs in a database.
const HISTORY_TTL_MAX: u64 = 30 * DAY;

section! {
    /// Options of channels whose names have no `:`, and of every `[[namespace]]` that does not set them itself.
    ///
    /// What a table leaves out is inherited and not the program's default, so that an operator who closes the default
    /// namespace closes all others too.
    pub struct NamespaceOptions in "default_namespace" (Once) {
        /// Number of publications that a channel keeps, the newest ones. 0: no history.
        ///
        /// A history also ends with its age (--history-ttl). All of them together are bounded by --history-bytes-max.
        history_size: usize = count("publications", 0, HISTORY_SIZE_MAX), text("50"), NewSubscriptions;

        /// Time that a publication is kept in the history of its channel. 0s: no history.
        ///
        /// A channel with history outlives its last subscriber by this time.
        history_ttl: Duration =
            duration_or_off(HISTORY_TTL_MIN, HISTORY_TTL_MAX, "give 0s for no history"), text("10m"), NewSubscriptions;

        /// Clients that return get what they missed, as far as the history has it. Without a history it does nothing.
        ///
        /// What is missing from the history is never left out silently: the client is told that it could not recover.
        recovery: bool = Switch, text("true"), NewSubscriptions;

        /// What clients that return get: `stream` for everything that they missed, or `cache` for the newest
        /// publication alone. Without --recovery it does nothing.
        ///
        /// With `cache` a channel is a value that changes: its newest publication says everything, so nothing was
        /// missed that matters. A client that asks for it gets it with its first subscription too.
        recovery_mode: RecoveryMode = Choice(RecoveryMode::WORDS), text("stream"), NewSubscriptions;

        /// Clients of the Centrifuge protocol may ask for deltas: each publication as what has changed since the last.
        ///
        /// It saves bytes where publications are alike. It costs a comparison of two publications per shard and format,
        /// however many clients asked for it, and nothing while none has.
        delta: bool = Switch, Unset, NewSubscriptions;

        /// Publications tell their positions, so that clients see whether they missed any. Needs --history-size.
        positioning: bool = Switch, Unset, NewSubscriptions;

        /// Who is in a channel can be asked: its clients, and how many of them there are.
        ///
        /// A channel needs 20 to 40 bytes for each of its subscribers then, and for one with a token what the token
        /// says of it. Switched on by a reload it counts those who were there already, and names those who come.
        presence: bool = Switch, Unset, NewSubscriptions;

        /// Subscribers are told who joins and who leaves, as far as their protocol has room for it. Needs --presence.
        ///
        /// They are told twice a second, all in one message. In a crowd an announcement has 4 to 64 KiB, and what it
        /// has no room for is told later.
        join_leave: bool = Switch, Unset, NewSubscriptions;

        /// Which clients may subscribe: `everyone`, `authenticated` for those with a token of a user, `token` for
        /// those whose token names the channel, or `hook` for those that the application lets in. Others are refused,
        /// with 403 in a handshake.
        ///
        /// A token that names the channel is enough in any case. In every namespace a channel whose name begins with
        /// `$` needs one, and a channel with `#` in its name is for the users who are listed after it: `#42,43`.
        allow_subscribe: SubscriberGroup = Choice(SubscriberGroup::WORDS), text("everyone"), NewSubscriptions;

        /// Which clients may publish: `everyone`, `authenticated` for those with a token of a user, `subscribers` of
        /// the channel, `nobody`, or `hook` for those that the application lets. A client of /ws that publishes where
        /// it may not is closed with 4507.
        ///
        /// It is about clients only. A backend has a key of its own.
        allow_publish: ClientGroup = Choice(ClientGroup::WORDS), text("everyone"), NewSubscriptions;

        /// Which clients may ask who is in a channel, in the words of --allow-publish but for `hook`.
        allow_presence: ClientGroup = Choice(ClientGroup::WORDS), text("subscribers"), NewSubscriptions;

        /// Which clients may ask for the history of a channel, in the words of --allow-publish but for `hook`.
        allow_history: ClientGroup = Choice(ClientGroup::WORDS), text("subscribers"), NewSubscriptions;

        /// Maximum number of bytes of one publication. A larger message of a client closes its connection with 1009.
        ///
        /// 0 stands for the default. It cannot be larger than --message-bytes-max, which holds for every message.
        publish_bytes_max: usize =
            bytes_or_default(1, 1 << 26, ""), computed("0", "`message_bytes_max`"), NewSubscriptions;

        /// Maximum number of subscribers of one channel. Further ones get 503. 0: no limit.
        subscribers_max: u32 = count("subscribers", 0, u32::MAX as u64), text("0"), NewSubscriptions;
    }
}

section! {
    /// A namespace: the channels whose names begin with its name and a `:`, as `news:sport` of the namespace `news`. A
    /// channel of a namespace that is not defined is refused.
    pub struct NamespaceConfig in "namespace" (Repeated) {
        /// Name of the namespace, which every table needs: 1 to 64 ASCII letters, digits and `_ . -`.
        name: NamespaceName = Text("name"), Unset, NewSubscriptions;

        /// What happens to a connection that cannot keep up with a channel of this namespace. Without it that is
        /// `slow_consumer` of `[limits]`.
        ///
        /// A connection that is subscribed in several namespaces is closed if one of them says close.
        slow_consumer: Option<SlowConsumer> = Choice(SlowConsumer::WORDS), Unset, NewSubscriptions;
    }
    inherits {
        /// Its options.
        options: NamespaceOptions,
    }
}

choice! {
    /// What clients that return get.
    pub enum RecoveryMode {
        /// Everything that they missed, or nothing.
        Stream = "stream",
        /// The newest publication.
        Cache = "cache",
    }
}

choice! {
    /// Clients that may subscribe.
    pub enum SubscriberGroup {
        /// Every client.
        Everyone = "everyone",
        /// Clients with a valid token that names a user.
        Authenticated = "authenticated",
        /// Clients whose token names the channel.
        Token = "token",
        /// Clients that the application lets in.
        Hook = "hook",
    }
}

choice! {
    /// Clients that may do something else than to subscribe.
    pub enum ClientGroup {
        /// Every client.
        Everyone = "everyone",
        /// Clients with a valid token that names a user.
        Authenticated = "authenticated",
        /// Clients that are subscribed to the channel.
        Subscribers = "subscribers",
        /// No client.
        Nobody = "nobody",
        /// Clients that the application lets.
        Hook = "hook",
    }
}

impl RecoveryMode {
    /// Returns the word of the configuration.
    pub const fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }
}

impl SubscriberGroup {
    /// Returns the word of the configuration.
    pub const fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }
}

impl ClientGroup {
    /// Returns the word of the configuration.
    pub const fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }
}

/// Options of a namespace that contradict each other: the key, and what to do.
type Contradiction = (&'static str, String);

impl NamespaceOptions {
    /// Finds options that contradict each other or `message_bytes_max`. `name` is how a key is written where they
    /// stand.
    fn contradiction(&self, message_bytes_max: usize, name: impl Fn(&str) -> String) -> Option<Contradiction> {
        let (size, ttl) = (name("history_size"), name("history_ttl"));
        if self.positioning && (self.history_size == 0 || self.history_ttl.is_zero()) {
            let own = name("positioning");
            return Some(("positioning", format!("{own} needs a history; set {size} and {ttl}, or turn {own} off")));
        }
        let (join_leave, presence) = (name("join_leave"), name("presence"));
        if self.join_leave && !self.presence {
            let text = format!("{join_leave} needs {presence}; turn the second on or the first off");
            return Some(("join_leave", text));
        }
        let groups = [("allow_presence", self.allow_presence), ("allow_history", self.allow_history)];
        if let Some((key, _)) = groups.into_iter().find(|(_, group)| *group == ClientGroup::Hook) {
            let text =
                format!("{} cannot be hook: the application is not asked about it; give another word", name(key));
            return Some((key, text));
        }
        if self.join_leave && matches!(self.allow_presence, ClientGroup::Authenticated | ClientGroup::Nobody) {
            let (own, word) = (name("allow_presence"), self.allow_presence.word());
            let text = format!(
                "{join_leave} tells every subscriber what {own} \"{word}\" keeps from some; set {own} to \
                 \"subscribers\" or turn {join_leave} off"
            );
            return Some(("join_leave", text));
        }
        if self.publish_bytes_max > message_bytes_max {
            let text = format!(
                "{} {} is more than --message-bytes-max {message_bytes_max}, which holds for every message; lower the \
                 first or raise the second",
                name("publish_bytes_max"),
                self.publish_bytes_max
            );
            return Some(("publish_bytes_max", text));
        }
        None
    }

    /// Checks that the options of the default namespace fit each other.
    pub(super) fn check(&self, message_bytes_max: usize) -> Result<(), ConfigError> {
        match self.contradiction(message_bytes_max, |key| format!("--{}", key.replace('_', "-"))) {
            Some((_, text)) => Err(ConfigError::DefaultNamespace { text }),
            None => Ok(()),
        }
    }
}

/// Checks that the options of each namespace fit each other, and that no two have one name.
pub(super) fn check(namespaces: &[NamespaceConfig], message_bytes_max: usize) -> Result<(), ConfigError> {
    for (number, namespace) in namespaces.iter().enumerate() {
        let error = |(key, text)| ConfigError::Table {
            at: TableKey { section: NamespaceConfig::SECTION.name, number, key },
            label: format!("[[namespace]] {}", namespace.name),
            text,
        };
        if namespaces[..number].iter().any(|before| before.name == namespace.name) {
            let text = "another table before it has this name; give each its own, or make one of the two";
            return Err(error(("name", text.to_owned())));
        }
        if let Some(found) = namespace.options.contradiction(message_bytes_max, str::to_owned) {
            return Err(error(found));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    /// An operator has to see which table, which key, and what to do.
    #[test]
    fn contradictions_name_the_table_the_key_and_the_line() {
        let news = "[[namespace]]\nname = \"news\"\n";
        for (text, expected) in [
            (
                "positioning = true\nhistory_size = 0",
                "positioning needs a history; set history_size and history_ttl, or turn positioning \
                off",
            ),
            ("join_leave = true", "join_leave needs presence; turn the second on or the first off"),
            (
                "allow_history = \"hook\"",
                "allow_history cannot be hook: the application is not asked about it; give another word",
            ),
            (
                "join_leave = true\npresence = true\nallow_presence = \"nobody\"",
                "join_leave tells every subscriber what allow_presence \"nobody\" keeps from some; set \
                allow_presence to \"subscribers\" or turn join_leave off",
            ),
            (
                "publish_bytes_max = \"1MiB\"",
                "publish_bytes_max 1048576 is more than --message-bytes-max 65536, which \
                holds for every message; lower the first or raise the second",
            ),
        ] {
            let error = Config::from_toml(&format!("{news}{text}")).unwrap_err().to_string();
            assert_eq!(error, format!("[[namespace]] news: {expected} (in line 3)"));
            // The same in the default namespace, whose settings are flags as well.
            let error = Config::from_toml(&format!("[default_namespace]\n{text}")).unwrap_err().to_string();
            let key = text.split(' ').next().unwrap();
            let flag = format!("--{}", key.replace('_', "-"));
            assert!(error.starts_with(&flag) && error.contains(&format!("{key} in line 2")), "{error}");
        }
        let error = Config::from_toml(&format!("{news}{news}")).unwrap_err().to_string();
        assert!(error.starts_with("[[namespace]] news: another table before it has this name"), "{error}");
        assert!(error.ends_with(" (in line 4)"), "{error}");
        let error = Config::from_toml("[[namespace]]\npresence = true").unwrap_err().to_string();
        assert_eq!(error, "[[namespace]] number 1: there is no name; every table of this list needs one (in line 1)");
        let error = Config::from_toml("[[namespace]]\nname = \"a:b\"").unwrap_err().to_string();
        assert!(error.starts_with("toml:2:8: name: \"a:b\" is not a namespace"), "{error}");
        let error = Config::from_toml(
            "[default_namespace]\nhistory_size = 5\nhistory_ttl = \"1m\"\npositioning = true\n\
            [[namespace]]\nname = \"a\"\nhistory_size = 0",
        )
        .unwrap_err()
        .to_string();
        assert!(error.starts_with("[[namespace]] a: positioning needs a history"), "inherited: {error}");
    }
}
