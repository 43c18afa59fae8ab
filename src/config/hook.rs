//! A hook: what one `[[hook]]` of the file says about a question to the application.

use super::error::ConfigError;
use super::hook_header::{ClientHeader, StaticHeader};
use super::http_url::HttpUrl;
use super::namespace::{ClientGroup, NamespaceConfig, NamespaceOptions, SubscriberGroup};
use super::namespace_name::NamespaceName;
use super::section::section;
use super::setting::DefaultValue::Unset;
use super::setting::Kind::{Choice, List, Secrets, Text};
use super::setting::{count, deadline, text};
use super::tables::TableKey;
use super::value::choice;
use std::time::Duration;

section! {
    /// A question to the application: what a client may do, asked as `POST` of JSON while the client waits.
    /// docs/hooks.md has the questions and the answers, which are those of Centrifugo's proxy.
    pub struct HookConfig in "hook" (Repeated) {
        /// What is asked: `connect` (who a client without a token is), `refresh` (whether a connection that expires
        /// goes on), `sub_refresh` (the same of a subscription), `subscribe`, `publish` (whether a client may), or
        /// `rpc` (a call of a client). One table for each, or several with different `namespaces`.
        ///
        /// `subscribe` and `publish` are asked in namespaces with `allow_subscribe` or `allow_publish` = `hook`. They
        /// are asked about clients of /ws too, as are `connect` and `refresh`.
        name: HookName = Choice(HookName::WORDS), Unset, AtOnce;

        /// Namespaces whose channels are asked about here; `subscribe`, `publish` and `sub_refresh` only. Without it
        /// all channels are that no other table with the same `name` names.
        namespaces: Vec<NamespaceName> = List("names"), Unset, AtOnce;

        /// URL that is asked, as in `http://127.0.0.1:3000/hooks/connect`, which every table needs.
        ///
        /// Redirects are not followed. The certificate of an https server is checked against the certificate
        /// authorities of the system. Use https unless the way there is your own: requests carry what clients send.
        url: HttpUrl = Text("URL"), Unset, AtOnce;

        /// Time for an answer, of which a request may wait for its turn for one half. After it the client gets an error
        /// that it may try again after.
        ///
        /// The client is not read meanwhile, other clients are.
        timeout: Duration = deadline(), text("1s"), AtOnce;

        /// Maximum number of requests under way. Further ones wait for their turn, at most for half of the timeout.
        requests_max: usize = count("requests", 1, 65_536), text("256"), AtOnce;

        /// Names of headers of the client's handshake that are passed on, such as `Cookie` or `X-Request-Id`. Without
        /// it none is.
        ///
        /// Clients can send any value, so the application has to check them. Names that belong to one connection, such
        /// as `Connection`, are refused.
        headers: Vec<ClientHeader> = List("names"), Unset, AtOnce;

        /// Headers that every request has, each as `NAME: VALUE`, such as a key by which the application knows the hub.
        /// They are never shown.
        static_headers: Vec<StaticHeader> = Secrets("headers"), Unset, AtOnce;
    }
}

choice! {
    /// A question to the application.
    pub enum HookName {
        /// Who a client is.
        Connect = "connect",
        /// Whether a connection that expires goes on.
        Refresh = "refresh",
        /// Whether a client may subscribe.
        Subscribe = "subscribe",
        /// Whether a subscription that expires goes on.
        SubRefresh = "sub_refresh",
        /// Whether a client may publish, and what.
        Publish = "publish",
        /// A call.
        Rpc = "rpc",
    }
}

impl HookName {
    /// Every question, in the order of [`HookName::WORDS`].
    pub const ALL: [Self; 6] =
        [Self::Connect, Self::Refresh, Self::Subscribe, Self::SubRefresh, Self::Publish, Self::Rpc];

    /// Returns the word of the configuration.
    pub const fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }

    /// Returns whether it is about a channel.
    const fn is_about_channel(self) -> bool {
        matches!(self, Self::Subscribe | Self::SubRefresh | Self::Publish)
    }
}

/// A key of a table, and what is wrong with it.
type Fault = (&'static str, String);

/// Checks hooks alone, against each other, and against the namespaces that ask them. `expires` says whether any
/// connection can expire.
pub(super) fn check(
    hooks: &[HookConfig],
    default: &NamespaceOptions,
    namespaces: &[NamespaceConfig],
    expires: bool,
) -> Result<(), ConfigError> {
    let asking = Asking { hooks, default, namespaces, expires };
    for name in [HookName::Subscribe, HookName::Publish] {
        if asking.all().any(|(namespace, options)| asks(options, name) && asking.table(name, namespace).is_none()) {
            return Err(ConfigError::NoHook { setting: name.word() });
        }
    }
    for (number, hook) in hooks.iter().enumerate() {
        if let Some((key, text)) = hook.fault(number, &asking) {
            let at = TableKey { section: HookConfig::SECTION.name, number, key };
            return Err(ConfigError::Table { at, label: format!("[[hook]] {}", hook.name.word()), text });
        }
    }
    Ok(())
}

/// What asks hooks.
#[derive(Clone, Copy)]
struct Asking<'a> {
    hooks: &'a [HookConfig],
    default: &'a NamespaceOptions,
    namespaces: &'a [NamespaceConfig],
    expires: bool,
}

impl<'a> Asking<'a> {
    /// Returns every namespace, without a name first.
    fn all(self) -> impl Iterator<Item = (Option<&'a NamespaceName>, &'a NamespaceOptions)> {
        let named = self.namespaces.iter().map(|one| (Some(&one.name), &one.options));
        std::iter::once((None, self.default)).chain(named)
    }

    /// Returns the number of the table that decides in a namespace.
    fn table(self, name: HookName, namespace: Option<&NamespaceName>) -> Option<usize> {
        let find = |is_for: &dyn Fn(&[NamespaceName]) -> bool| {
            self.hooks.iter().position(|hook| hook.name == name && is_for(&hook.namespaces))
        };
        let named = namespace.and_then(|namespace| find(&|names| names.contains(namespace)));
        named.or_else(|| find(&<[NamespaceName]>::is_empty))
    }

    fn has(self, name: HookName) -> bool {
        self.hooks.iter().any(|hook| hook.name == name)
    }

    /// Returns whether a table is asked anything.
    fn is_asked(self, number: usize) -> bool {
        let name = self.hooks[number].name;
        match name {
            HookName::Subscribe | HookName::Publish => self
                .all()
                .any(|(namespace, options)| asks(options, name) && self.table(name, namespace) == Some(number)),
            HookName::Refresh => self.expires || self.has(HookName::Connect),
            HookName::SubRefresh => self.expires || self.has(HookName::Connect) || self.has(HookName::Subscribe),
            HookName::Connect | HookName::Rpc => true,
        }
    }
}

/// Returns whether a namespace leaves a decision to the application.
fn asks(options: &NamespaceOptions, name: HookName) -> bool {
    match name {
        HookName::Subscribe => options.allow_subscribe == SubscriberGroup::Hook,
        HookName::Publish => options.allow_publish == ClientGroup::Hook,
        HookName::Connect | HookName::Refresh | HookName::SubRefresh | HookName::Rpc => false,
    }
}

impl HookConfig {
    fn fault(&self, number: usize, asking: &Asking<'_>) -> Option<Fault> {
        if let Some(text) = self.namespaces_fault(&asking.hooks[..number], asking.namespaces) {
            return Some(text);
        }
        if !asking.is_asked(number) {
            let text = match self.name {
                HookName::Refresh | HookName::SubRefresh => format!(
                    "nothing asks it, because no {} expires: add a [[token_key]], or a hook connect, or leave the \
                     table out",
                    if self.name == HookName::Refresh { "connection" } else { "subscription" }
                ),
                name => format!(
                    "nothing asks it: set allow_{} = \"hook\" in the [[namespace]] that it is for, or leave the table \
                     out",
                    name.word()
                ),
            };
            return Some(("name", text));
        }
        let is_both = |fixed: &&StaticHeader| self.headers.iter().any(|one| one.name == fixed.name);
        let both = self.static_headers.iter().find(is_both)?;
        let text = format!(
            "headers: {} is one of static_headers too, and a client could send another value; leave it out here",
            both.name
        );
        Some(("headers", text))
    }

    /// Finds namespaces that are not there, that another table has, or that cannot be asked about.
    fn namespaces_fault(&self, before: &[Self], namespaces: &[NamespaceConfig]) -> Option<Fault> {
        if !self.name.is_about_channel() && !self.namespaces.is_empty() {
            let text = format!("namespaces: {} is not about a channel; leave it out", self.name.word());
            return Some(("namespaces", text));
        }
        if let Some(unknown) = self.namespaces.iter().find(|name| namespaces.iter().all(|one| one.name != **name)) {
            let text = format!("namespaces: there is no [[namespace]] {unknown}; define it, or leave it out here");
            return Some(("namespaces", text));
        }
        let mut same = before.iter().filter(|one| one.name == self.name);
        if self.namespaces.is_empty() {
            let text = "another table before it has this name, and no namespaces either; make one of the two, or name \
                        namespaces in one";
            return same.any(|one| one.namespaces.is_empty()).then(|| ("name", text.to_owned()));
        }
        let twice = same.flat_map(|one| &one.namespaces).find(|one| self.namespaces.contains(one))?;
        let text = format!("namespaces: another table before it is for {twice}; leave it out in one of the two");
        Some(("namespaces", text))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    const SECRET: &str = "X-Key: 0123456789abcdef";

    fn error(text: &str) -> String {
        Config::from_toml(text).unwrap_err().to_string()
    }

    #[test]
    fn table_has_a_name_and_a_url_and_defaults() {
        let text =
            format!("[[hook]]\nname = \"rpc\"\nurl = \"http://backend:3000/rpc\"\nstatic_headers = [\"{SECRET}\"]\n");
        let config = Config::from_toml(&text).unwrap();
        let hook = &config.hooks[0];
        assert_eq!((hook.timeout.as_millis(), hook.requests_max, hook.headers.len()), (1000, 256, 0));
        assert_eq!(hook.url.authority(), "backend:3000");
        assert!(!format!("{config:?}").contains("0123456789abcdef"));
    }

    /// What would never be asked, or would decide nothing, is found before anything runs.
    #[test]
    fn contradictions_say_which_table_and_what_to_do() {
        const CHAT: &str = "[[namespace]]\nname = \"chat\"\nallow_publish = \"hook\"\n";
        let hook = |name: &str| format!("[[hook]]\nname = \"{name}\"\nurl = \"http://b/\"\n");
        let for_chat = |name: &str| format!("{}namespaces = [\"chat\"]\n", hook(name));
        for (text, expected) in [
            (hook("subscribe"), "[[hook]] subscribe: nothing asks it: set allow_subscribe = \"hook\""),
            (hook("publish"), "[[hook]] publish: nothing asks it: set allow_publish = \"hook\""),
            (hook("refresh"), "[[hook]] refresh: nothing asks it, because no connection expires"),
            (
                "[default_namespace]\nallow_publish = \"hook\"\n".to_owned(),
                "allow_publish is hook, and there is no [[hook]]",
            ),
            (
                "[[namespace]]\nname = \"a\"\nallow_subscribe = \"hook\"\n".to_owned(),
                "allow_subscribe is hook, and there is no [[hook]]",
            ),
            (hook("rpc").repeat(2), "[[hook]] rpc: another table before it has this name"),
            (hook("sub_refresh"), "[[hook]] sub_refresh: nothing asks it, because no subscription expires"),
            (format!("{}namespaces = [\"a\"]\n", hook("rpc")), "namespaces: rpc is not about a channel"),
            (
                format!("{}namespaces = [\"a\"]\n", hook("publish")),
                "namespaces: there is no [[namespace]] a; define it",
            ),
            (
                format!("{CHAT}{}{}", for_chat("publish"), for_chat("publish")),
                "namespaces: another table before it is for chat; leave it out",
            ),
            // A table for another namespace does not decide here.
            (
                format!("{CHAT}[default_namespace]\nallow_publish = \"hook\"\n{}", for_chat("publish")),
                "allow_publish is hook, and there is no [[hook]]",
            ),
            (
                format!("{CHAT}{}{}", for_chat("publish"), hook("publish")),
                "[[hook]] publish: nothing asks it: set allow_publish = \"hook\"",
            ),
            ("[[hook]]\nname = \"rpc\"\n".to_owned(), "there is no url"),
            (hook("call"), "\"call\" is not one of connect, refresh"),
            (hook("rpc").replace("http://b/", "b:80"), "is not a URL such as"),
            (
                format!("{}headers = [\"x-key\"]\nstatic_headers = [\"{SECRET}\"]\n", hook("rpc")),
                "headers: x-key is one of static_headers too",
            ),
            (format!("{}headers = [\"Connection\"]\n", hook("rpc")), "connection belongs to one connection"),
            (format!("{}headers = [\"a b\"]\n", hook("rpc")), "\"a b\" is not the name of a header"),
            (format!("{}static_headers = [\"0123456789abcdef\"]\n", hook("rpc")), "a header is written NAME: VALUE"),
        ] {
            let error = error(&text);
            assert!(error.contains(expected), "{text}\n{error}");
            assert!(!error.contains("0123456789abcdef"), "{error}");
        }
        let asked = format!("[default_namespace]\nallow_publish = \"hook\"\n{}", hook("publish"));
        assert_eq!(Config::from_toml(&asked).unwrap().hooks.len(), 1);
    }
}
