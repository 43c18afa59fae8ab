//! Tokens: what a token (JWT) has to say, and where the keys of its issuer are.

use super::error::ConfigError;
use super::jwks_url::JwksUrl;
use super::section::section;
use super::setting::DefaultValue::Unset;
use super::setting::Kind::{Switch, Text};
use super::setting::{count, text};
use super::tables::TableKey;
use super::token_key::TokenKeyConfig;

section! {
    /// Who clients are: what a token (JWT) has to say, and where the keys of its issuer are. Its other keys are in
    /// `[[token_key]]`.
    pub struct TokenConfig in "token" (Once) {
        /// Refuse clients without a token, with 401. Otherwise they are anonymous.
        token_required: bool = Switch, Unset, NewConnections;

        /// Audience that tokens have to name in the claim aud. One for another audience gets 401.
        ///
        /// Without it every audience is accepted. Set it if the issuer makes tokens for other services too: their
        /// tokens would be valid here.
        token_audience: Option<String> = Text("audience"), Unset, NewConnections;

        /// Issuer that tokens have to name in the claim iss. One from another issuer gets 401.
        token_issuer: Option<String> = Text("issuer"), Unset, NewConnections;

        /// URL of the issuer's public keys, a JWK Set, as in `https://auth.example.com/.well-known/jwks.json`.
        ///
        /// It is read at the start, every ten minutes, and when a token names a key that is not known. Redirects are
        /// not followed. The certificate of the server is checked against the certificate authorities of the system.
        /// http is for issuers on this machine only.
        jwks_url: Option<JwksUrl> = Text("URL"), Unset, Restart;

        /// Refuse tokens without exp, which never expire, and secrets shorter than the hash of their algorithm.
        ///
        /// Off for issuers that leave exp out, and for the test suites of SDKs, whose secret is short. A token without
        /// exp is then valid until its key is replaced, and a short secret can be guessed: the log warns at the start.
        token_strict: bool = Switch, text("true"), NewConnections;

        /// Subscribe each client with a user to the channel of that user: `#42` for the user 42, if its protocol has
        /// several subscriptions.
        personal_channel: bool = Switch, Unset, NewConnections;

        /// Maximum number of open connections of one user. Further ones get 429.
        ///
        /// Users are those that tokens name in the claim sub. Anonymous clients have the limits of their address only.
        connections_per_user_max: usize = count("connections", 1, 1 << 32), text("32"), NewConnections;

        /// For development only: accept tokens without checking their signature, so that every client may be who it
        /// says it is.
        ///
        /// Neither key, algorithm nor signature of a token is looked at. Its form and its claims are, its expiry too.
        /// The log warns of it at the start and every minute.
        token_insecure: bool = Switch, Unset, Restart;
    }
}

impl TokenConfig {
    /// Returns whether a token can be valid.
    pub(super) fn has_keys(&self, keys: &[TokenKeyConfig]) -> bool {
        !keys.is_empty() || self.jwks_url.is_some() || self.token_insecure
    }

    /// Checks the settings against the keys, and the keys against each other.
    pub(super) fn check(&self, keys: &[TokenKeyConfig]) -> Result<(), ConfigError> {
        let rules = [
            ("token-required", self.token_required),
            ("token-audience", self.token_audience.is_some()),
            ("token-issuer", self.token_issuer.is_some()),
        ];
        let has_keys = self.has_keys(keys);
        if let Some((flag, _)) = rules.into_iter().find(|(_, is_set)| *is_set && !has_keys) {
            return Err(ConfigError::NoTokenKeys { flag });
        }
        for (number, key) in keys.iter().enumerate() {
            let refuse = |(name, text): (&'static str, String)| ConfigError::Table {
                at: TableKey { section: TokenKeyConfig::SECTION.name, number, key: name },
                label: format!("[[token_key]] {}", key.kid.clone().unwrap_or_else(|| format!("number {}", number + 1))),
                text,
            };
            key.check(self.token_strict).map_err(refuse)?;
            if key.kid.is_some() && keys[..number].iter().any(|other| other.kid == key.kid) {
                let advice = "kid: another table has the same; a key has an ID of its own, or none".to_owned();
                return Err(refuse(("kid", advice)));
            }
        }
        Ok(())
    }
}
