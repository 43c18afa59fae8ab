//! Tokens: the keys that verify them, and what a token has to say.

use super::conversion::{Conversion, names};
use super::draft::Literal::{Switch, Text};
use super::draft::Table;
use super::given::Given;
use super::proxy::Decider;
use super::reasons;
use crate::auth::Verifier;
use crate::config::{Config, TokenAlgorithm, TokenKeyConfig};

const LIST: &str = TokenKeyConfig::SECTION.name;

impl Conversion {
    /// Sets keys and rules. `connect` decides about clients without a token. Returns whether every client may do
    /// everything.
    pub(super) fn convert_tokens(&mut self, connect: Decider) -> bool {
        let insecure = self.switch("client.insecure");
        let unchecked = self.switch("client.insecure_skip_token_signature_verify");
        let mut may_be_anonymous = self.switch("client.allow_anonymous_connect_without_token");
        if let Some(anonymous) = may_be_anonymous.take_if(|_| connect != Decider::Options) {
            self.notes.cover(&anonymous.name, "the connect proxy decides about clients without a token, there too");
        }
        if let Some(unchecked) = &unchecked {
            self.set("token_insecure", Switch(true), &unchecked.name);
        }
        let has_keys = self.convert_keys() | self.convert_key_set() | unchecked.is_some();
        self.convert_claims(has_keys);
        let open = [&insecure, &may_be_anonymous].map(|one| one.as_ref().map(|one| one.name.as_str()));
        if has_keys {
            self.set("token_required", Switch(open == [None, None]), &names(open));
        } else if let Some(anonymous) = &may_be_anonymous {
            self.notes.cover(&anonymous.name, "every client may connect, since there is no key for tokens");
        } else if insecure.is_none() && connect != Decider::Hook {
            self.notes.remark(
                "There is no key for tokens, so every client is anonymous and may connect: token_required needs a \
                 [[token_key]] or jwks_url. Which channels clients may use follows from allow_subscribe.",
            );
        }
        self.convert_personal();
        if let Some(insecure) = &insecure {
            let name = &insecure.name;
            self.notes.remark(format!("{name}: every client may do everything in every channel, in this file too."));
        }
        insecure.is_some()
    }

    /// Sets the channel of each user, if it is the one that it has here.
    fn convert_personal(&mut self) {
        const TABLE: &str = "client.subscribe_to_user_personal_channel";
        let Some(enabled) = self.switch(&format!("{TABLE}.enabled")) else { return };
        let namespace = [&*format!("{TABLE}.personal_channel_namespace"), "user_personal_channel_namespace"];
        if namespace.iter().any(|path| self.source.is_on(path)) {
            self.notes.miss(enabled.name, reasons::PERSONAL);
        } else {
            self.set("personal_channel", Switch(true), &enabled.name);
        }
    }

    fn convert_keys(&mut self) -> bool {
        use TokenAlgorithm::{Es256, Es384, Hs256, Hs384, Hs512, Rs256, Rs384, Rs512};
        let mut has_keys = false;
        if let Some(secret) = self.text("client.token.hmac_secret_key") {
            has_keys |= self.convert_key(&secret, "secret", &[Hs256, Hs384, Hs512]);
        }
        for (path, algorithms) in [
            ("client.token.rsa_public_key", &[Rs256, Rs384, Rs512][..]),
            ("client.token.ecdsa_public_key", &[Es256, Es384]),
        ] {
            let Some(key) = self.text(path) else { continue };
            if key.value.trim_start().starts_with("-----BEGIN") {
                has_keys |= self.convert_key(&key, "public_key", algorithms);
            } else {
                self.notes.refuse(&key.name, "its value is not PEM, which begins with -----BEGIN PUBLIC KEY-----");
            }
        }
        has_keys
    }

    /// Adds a table for each algorithm that a key is good for: one of Centrifugo is for all of its kind.
    /// Returns whether there is one.
    fn convert_key(&mut self, given: &Given<String>, what: &str, algorithms: &[TokenAlgorithm]) -> bool {
        let results: Vec<_> = algorithms.iter().map(|one| (*one, table(given, what, *one))).collect();
        let error = results.iter().find_map(|(_, result)| result.as_ref().err()).cloned();
        let refused: Vec<_> = results.iter().filter(|(_, one)| one.is_err()).map(|(one, _)| one.name()).collect();
        let has_one = refused.len() < algorithms.len();
        match error {
            Some(error) if !has_one => {
                let text = format!("{error}. The key is left out; add a [[token_key]] with another one.");
                self.notes.refuse(&given.name, text);
            }
            // An elliptic curve has one algorithm.
            Some(error) if what == "secret" => {
                let text = format!("tokens of {} are refused, because {error}", refused.join(" and "));
                self.notes.refuse(&given.name, text);
            }
            _ => {}
        }
        for table in results.into_iter().filter_map(|(_, result)| result.ok()) {
            self.draft.push(table);
        }
        has_one
    }

    fn convert_key_set(&mut self) -> bool {
        let Some(url) = self.text("client.token.jwks_public_endpoint") else { return false };
        self.set("jwks_url", Text(url.value), &url.name)
    }

    fn convert_claims(&mut self, has_keys: bool) {
        for (path, setting) in [("client.token.audience", "token_audience"), ("client.token.issuer", "token_issuer")] {
            let Some(given) = self.text(path) else { continue };
            if has_keys {
                self.set(setting, Text(given.value), &given.name);
            } else {
                let text = format!("{setting} needs a key for tokens, and there is none, so it is left out");
                self.notes.refuse(&given.name, text);
            }
        }
    }
}

/// Returns the table of a key with one algorithm, or the rule that the key breaks.
fn table(given: &Given<String>, what: &str, algorithm: TokenAlgorithm) -> Result<Table, String> {
    let key = given.value.as_str();
    if key.trim() != key && what == "secret" {
        return Err("it begins or ends with white space, which a file here cannot hold".to_owned());
    }
    let mut table = Table::new(LIST);
    table.set("algorithm", Text(algorithm.name().to_owned()), "").map_err(|error| error.to_string())?;
    table.set(what, Text(key.to_owned()), &given.name).map_err(|error| error.to_string())?;
    // The rules of keys are those of a hub that is started with this file.
    let config = Config::from_toml(&table.to_toml()).map_err(|error| error.to_string());
    let verifier = config.and_then(|config| {
        Verifier::new(&config.tokens, &config.token_keys).map(|_| ()).map_err(|error| error.to_string())
    });
    let label = format!("[[{LIST}]] number 1: ");
    verifier.map_err(|error| {
        let error = error.replace(&label, "").replacen(&format!("{what}: "), "", 1);
        error.split(" (in line").next().unwrap_or_default().to_owned()
    })?;
    Ok(table)
}
