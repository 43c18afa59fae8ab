//! Events: what the application is told about clients and channels.

use super::error::ConfigError;
use super::http_url::HttpUrl;
use super::section::section;
use super::setting::DefaultValue::Unset;
use super::setting::Kind::{List, Secret, Text};
use super::value::choice;
use super::webhook_secret::WebhookSecret;

section! {
    /// Events: webhooks that tell the application who comes and goes. docs/hooks.md has their form and how to verify
    /// them.
    pub struct EventsConfig in "events" (Once) {
        /// URL that gets events, as a signed `POST` of JSON. Without it there are none. Needs --events-secret.
        ///
        /// Events are sent in order, again until they are taken, and never delay a client: beyond 65,536 that wait,
        /// further ones are dropped and counted, in the log and in the next request. Redirects are not followed.
        events_url: Option<HttpUrl> = Text("URL"), Unset, Restart;

        /// Secret that signs events, by HMAC-SHA256 as in the Standard Webhooks: `whsec_` and 24 to 64 bytes in base64.
        ///
        /// Make one with `echo whsec_$(openssl rand -base64 32)`. The application needs it too, to verify that a
        /// request comes from the hub.
        events_secret: Option<WebhookSecret> = Secret("secret"), Unset, Restart;

        /// Which events are sent: `connected` and `disconnected` for clients, `subscribed` and `unsubscribed` for their
        /// subscriptions, `occupied` and `vacated` for the first subscriber of a channel and after the last one.
        /// Without it all are.
        events_types: Vec<EventType> = List("types"), Unset, Restart;
    }
}

choice! {
    /// A kind of event.
    pub enum EventType {
        /// A client is connected.
        Connected = "connected",
        /// It is not any more.
        Disconnected = "disconnected",
        /// It is subscribed to a channel.
        Subscribed = "subscribed",
        /// It is not any more.
        Unsubscribed = "unsubscribed",
        /// A channel has its first subscriber.
        Occupied = "occupied",
        /// It has none any more.
        Vacated = "vacated",
    }
}

impl EventType {
    /// Returns the word of the configuration, and of the event.
    pub const fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }
}

impl EventsConfig {
    /// Checks that URL and secret come together.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match (&self.events_url, &self.events_secret) {
            (Some(_), None) => Err(ConfigError::Events { given: "events-url", missing: "events-secret" }),
            (None, Some(_)) => Err(ConfigError::Events { given: "events-secret", missing: "events-url" }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn events_need_a_url_and_a_secret_that_is_one() {
        let valid = format!("[events]\nevents_url = \"http://b/\"\nevents_secret = \"{SECRET}\"\n");
        let config = Config::from_toml(&valid).unwrap();
        assert_eq!((config.events.events_types.len(), config.events.events_secret.unwrap().key().len()), (0, 24));
        for (text, expected) in [
            ("events_url = \"http://b/\"".to_owned(), "--events-url needs --events-secret"),
            (format!("events_secret = \"{SECRET}\""), "--events-secret needs --events-url"),
            (valid.replace("whsec_", "")[9..].to_owned(), "whsec_"),
            (valid.replace(SECRET, "whsec_MfKQ")[9..].to_owned(), "24 to 64"),
            ("events_types = [\"published\"]".to_owned(), "\"published\" is not one of connected"),
        ] {
            let error = Config::from_toml(&format!("[events]\n{text}")).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}\n{error}");
            assert!(!error.contains("MfKQ"), "{error}");
        }
    }
}
