//! API keys: the secrets of backends, and what each of them may do.

use super::key::ApiKey;
use super::section::section;
use super::setting::DefaultValue::Unset;
use super::setting::Kind::{List, Secret};
use super::setting::text;
use super::value::choice;

section! {
    /// A key for the HTTP API (/api/...) that may do only a part of it. Keys that may do everything can stand in
    /// `api_keys` of `[api]` as well.
    pub struct ApiKeyConfig in "api_key" (Repeated) {
        /// The secret, which every table needs: 12 characters or more. A shorter one is accepted with a warning.
        key: ApiKey = Secret("key"), Unset, AtOnce;

        /// What the key may do: `publish` to channels, `read` (channels, histories, numbers), and `manage` (close
        /// connections, drop histories).
        ///
        /// A request for something else gets 403. A backend that only publishes needs no more than `publish`, and a
        /// key that is stolen from it closes no connection.
        scopes: Vec<ApiScope> = List("scopes"), text("publish,read,manage"), AtOnce;
    }
}

choice! {
    /// A part of the HTTP API.
    pub enum ApiScope {
        /// Publishing.
        Publish = "publish",
        /// Reading.
        Read = "read",
        /// Changing what others have.
        Manage = "manage",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn table_has_a_key_and_all_scopes_unless_it_says_otherwise() {
        let text = "[[api_key]]\nkey = \"0123456789ab\"\nscopes = [\"publish\"]\n[[api_key]]\nkey = \"x\"\n";
        let config = Config::from_toml(text).unwrap();
        assert_eq!(config.api_key_tables[0].scopes, [ApiScope::Publish]);
        assert_eq!(config.api_key_tables[1].scopes.len(), 3);
        for (text, complaint) in [
            ("[[api_key]]\nscopes = [\"read\"]\n", "key"),
            (
                "[[api_key]]\nkey = \"0123456789ab\"\nscopes = [\"write\"]\n",
                "\"write\" is not one of publish, read, manage",
            ),
        ] {
            let error = Config::from_toml(text).unwrap_err().to_string();
            assert!(error.contains(complaint), "{error}");
        }
    }
}
