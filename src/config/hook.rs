//! A hook: what one `[[hook]]` of the file says about a question to the application.

use super::error::ConfigError;
use super::hook_header::{ClientHeader, StaticHeader};
use super::http_url::HttpUrl;
use super::namespace::{ClientGroup, NamespaceConfig, NamespaceOptions, SubscriberGroup};
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
        /// What is asked, one table for each: `connect` (who a client without a token is), `refresh` (whether a
        /// connection that expires goes on), `subscribe`, `publish` (whether a client may), or `rpc` (a call of a
        /// client).
        ///
        /// `subscribe` and `publish` are asked in namespaces with `allow_subscribe` or `allow_publish` = `hook`.
        /// Clients of /ws are asked about for `refresh` only; without a token they get 401 if there is a hook
        /// `connect`.
        name: HookName = Choice(HookName::WORDS), Unset, AtOnce;

        /// URL that is asked, as in `http://127.0.0.1:3000/hooks/connect`, which every table needs.
        ///
        /// Redirects are not followed. The certificate of an https server is checked against the certificate
        /// authorities of the system. Use https unless the way there is your own: requests carry what clients send.
        url: HttpUrl = Text("URL"), Unset, AtOnce;

        /// Time for an answer, in which a request also waits for its turn. After it the client gets an error that it
        /// may try again after.
        ///
        /// The client is not read meanwhile, other clients are.
        timeout: Duration = deadline(), text("1s"), AtOnce;

        /// Maximum number of requests under way. Further ones wait for their turn, at most for the timeout.
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
        /// Whether a client may publish, and what.
        Publish = "publish",
        /// A call.
        Rpc = "rpc",
    }
}

impl HookName {
    /// Every question, in the order of [`HookName::WORDS`].
    pub const ALL: [Self; 5] = [Self::Connect, Self::Refresh, Self::Subscribe, Self::Publish, Self::Rpc];

    /// Returns the word of the configuration.
    pub const fn word(self) -> &'static str {
        Self::WORDS[self as usize]
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
    let all = || std::iter::once(default).chain(namespaces.iter().map(|one| &one.options));
    let asks_subscribe = all().any(|one| one.allow_subscribe == SubscriberGroup::Hook);
    let asks_publish = all().any(|one| one.allow_publish == ClientGroup::Hook);
    let has = |name| hooks.iter().any(|hook| hook.name == name);
    for (name, setting, is_asked) in
        [(HookName::Subscribe, "subscribe", asks_subscribe), (HookName::Publish, "publish", asks_publish)]
    {
        if is_asked && !has(name) {
            return Err(ConfigError::NoHook { setting });
        }
    }
    for (number, hook) in hooks.iter().enumerate() {
        let is_asked = match hook.name {
            HookName::Subscribe => asks_subscribe,
            HookName::Publish => asks_publish,
            HookName::Refresh => expires || has(HookName::Connect),
            HookName::Connect | HookName::Rpc => true,
        };
        let fault = hook.fault(&hooks[..number], is_asked);
        if let Some((key, text)) = fault {
            let at = TableKey { section: HookConfig::SECTION.name, number, key };
            return Err(ConfigError::Table { at, label: format!("[[hook]] {}", hook.name.word()), text });
        }
    }
    Ok(())
}

impl HookConfig {
    fn fault(&self, before: &[Self], is_asked: bool) -> Option<Fault> {
        if before.iter().any(|one| one.name == self.name) {
            return Some(("name", "another table before it has this name; make one of the two".to_owned()));
        }
        if !is_asked {
            let text = match self.name {
                HookName::Refresh => "nothing asks it, because no connection expires: add a [[token_key]], or a hook \
                                      connect, or leave the table out"
                    .to_owned(),
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
        let hook = |name: &str| format!("[[hook]]\nname = \"{name}\"\nurl = \"http://b/\"\n");
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
