//! The options of a channel: those of its namespace, found by its name.

use super::hub_limits::SlowConsumer;
use super::namespace::{ClientGroup, NamespaceConfig, NamespaceOptions};
use super::namespace_name::NamespaceName;
use std::collections::HashMap;
use std::sync::Arc;
use thiserror::Error;

/// The options of a channel: those of its namespace.
#[derive(Clone, Debug)]
pub struct ChannelOptions {
    /// Number of the load of the configuration that they are of: later ones replace them.
    pub revision: u64,
    /// Name of the namespace; `None` for the default one.
    pub namespace: Option<NamespaceName>,
    /// What happens to a subscriber that cannot keep up; `None` for what the limits of the hub say.
    pub slow_consumer: Option<SlowConsumer>,
    /// Everything else.
    pub options: NamespaceOptions,
}

/// Those of a channel without a namespace that keeps nothing, such as one of the echo protocol.
impl Default for ChannelOptions {
    fn default() -> Self {
        let options = NamespaceOptions { history_size: 0, ..NamespaceOptions::default() };
        Self { revision: 0, namespace: None, slow_consumer: None, options }
    }
}

impl ChannelOptions {
    /// Returns the bytes that one publication may have, if they are limited more than any message.
    pub fn publish_bytes_max(&self) -> usize {
        if self.options.publish_bytes_max == 0 { usize::MAX } else { self.options.publish_bytes_max }
    }

    /// Returns the subscribers that a channel may have.
    pub fn subscribers_max(&self) -> u32 {
        if self.options.subscribers_max == 0 { u32::MAX } else { self.options.subscribers_max }
    }

    /// Returns whether subscribers are told how many they are.
    pub fn tells_occupancy(&self) -> bool {
        self.options.allow_presence != ClientGroup::Nobody
    }

    /// Returns the section that an operator finds the options in: `[[namespace]] news` or `[default_namespace]`.
    pub fn section(&self) -> String {
        match &self.namespace {
            Some(name) => format!("[[namespace]] {name}"),
            None => NamespaceOptions::SECTION.heading(),
        }
    }
}

/// A channel belongs to a namespace that is not defined.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error(
    "there is no namespace {name:?}; what stands before the first : of a channel's name is the name of a [[namespace]] \
     table"
)]
pub struct UnknownNamespace {
    /// The part of the channel's name before its first `:`.
    pub name: String,
}

/// All namespaces, by name.
#[derive(Debug)]
pub struct Namespaces {
    revision: u64,
    default: Arc<ChannelOptions>,
    named: HashMap<Box<str>, Arc<ChannelOptions>>,
}

impl Namespaces {
    /// Returns the namespaces of a configuration that was checked.
    pub fn new(default: &NamespaceOptions, namespaces: &[NamespaceConfig]) -> Self {
        Self::load(1, default, namespaces)
    }

    /// Returns those that replace these.
    pub fn replaced_by(&self, default: &NamespaceOptions, namespaces: &[NamespaceConfig]) -> Self {
        Self::load(self.revision + 1, default, namespaces)
    }

    fn load(revision: u64, default: &NamespaceOptions, namespaces: &[NamespaceConfig]) -> Self {
        let default = ChannelOptions { revision, namespace: None, slow_consumer: None, options: default.clone() };
        let named = namespaces.iter().map(|NamespaceConfig { name, slow_consumer, options }| {
            let namespace = Some(name.clone());
            let (slow_consumer, options) = (*slow_consumer, options.clone());
            let options = ChannelOptions { revision, namespace, slow_consumer, options };
            (name.as_str().into(), Arc::new(options))
        });
        Self { revision, default: Arc::new(default), named: named.collect() }
    }

    /// Returns the options of a channel: one look-up. A session keeps them, so that its messages need none.
    ///
    /// # Errors
    ///
    /// [`UnknownNamespace`] if its namespace is not defined.
    pub fn of(&self, channel: &str) -> Result<&Arc<ChannelOptions>, UnknownNamespace> {
        match namespace_of(channel) {
            None => Ok(&self.default),
            Some(name) => self.named.get(name).ok_or_else(|| UnknownNamespace { name: name.to_owned() }),
        }
    }
}

/// Returns the name of a channel's namespace; `None` for the default one, also where nothing stands before the `:`.
///
/// The `$` of a private channel stands before the namespace, as in the Centrifuge protocol: `$news:sport`.
pub fn namespace_of(channel: &str) -> Option<&str> {
    let (namespace, _) = channel.strip_prefix('$').unwrap_or(channel).split_once(':')?;
    Some(namespace).filter(|namespace| !namespace.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::namespace::ClientGroup;
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn namespace_of_a_channel_is_what_stands_before_its_first_colon() {
        for (channel, expected) in [
            ("lobby", None),
            ("news:sport", Some("news")),
            ("news:sport:live", Some("news")),
            ("$news:sport", Some("news")),
            ("news:", Some("news")),
            (":sport", None),
            ("$:sport", None),
            ("news#42:x", Some("news#42")),
            ("$$news:x", Some("$news")),
        ] {
            assert_eq!(namespace_of(channel), expected, "{channel}");
        }
    }

    #[test]
    fn namespace_inherits_what_it_does_not_set_and_an_undefined_one_is_refused() {
        let text = "[limits]\nslow_consumer = \"skip\"\n\
            [default_namespace]\nallow_publish = \"nobody\"\nhistory_size = 5\nhistory_ttl = \"1m\"\n\
            [[namespace]]\nname = \"news\"\nhistory_size = 9\n\
            [[namespace]]\nname = \"chat\"\nallow_publish = \"subscribers\"\nslow_consumer = \"close\"\n";
        let config = Config::from_toml(text).unwrap();
        let namespaces = Namespaces::new(&config.default_namespace, &config.namespaces);
        for (channel, size, publish, slow) in [
            ("lobby", 5, ClientGroup::Nobody, None),
            ("news:x", 9, ClientGroup::Nobody, None),
            ("chat:x", 5, ClientGroup::Subscribers, Some(SlowConsumer::Close)),
        ] {
            let found = namespaces.of(channel).unwrap();
            let options = &found.options;
            assert_eq!((options.history_size, options.allow_publish, found.slow_consumer), (size, publish, slow));
            assert_eq!(options.history_ttl, Duration::from_secs(60));
        }
        assert_eq!(namespaces.of("chat:x").unwrap().section(), "[[namespace]] chat");
        assert_eq!(namespaces.of("x").unwrap().section(), "[default_namespace]");
        let error = namespaces.of("sport:x").unwrap_err().to_string();
        assert!(error.starts_with("there is no namespace \"sport\";"), "{error}");
    }

    proptest! {
        /// A name that a file may give always finds its namespace, whatever follows the colon.
        #[test]
        fn every_accepted_name_is_found(name in "[A-Za-z0-9_.-]{1,64}", rest in "[a-z:#$]{0,9}") {
            let config = Config::from_toml(&format!("[[namespace]]\nname = \"{name}\"")).unwrap();
            let namespaces = Namespaces::new(&config.default_namespace, &config.namespaces);
            let channel = format!("{name}:{rest}");
            let found = namespaces.of(&channel).unwrap().namespace.as_ref();
            prop_assert_eq!(found.map(NamespaceName::as_str), Some(&*name));
        }
    }
}
