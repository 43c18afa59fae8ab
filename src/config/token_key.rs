//! A token key: what one `[[token_key]]` of the file says.

use super::section::section;
use super::setting::DefaultValue::Unset;
use super::setting::Kind::{Choice, Secret, Text};
use super::value::{Scalar, ValueError, choice};
use std::fmt;

section! {
    /// A key that verifies tokens. Several keys are valid side by side, so that one can be replaced: first a second
    /// table, then the issuer, then the old table goes.
    pub struct TokenKeyConfig in "token_key" (Repeated) {
        /// ID of the key, which tokens name in their header (kid). A key without one verifies tokens without one.
        kid: Option<String> = Text("ID"), Unset, NewConnections;

        /// The algorithm of the key. A token that names another one gets 401, whatever its signature is.
        algorithm: TokenAlgorithm = Choice(TokenAlgorithm::WORDS), Unset, NewConnections;

        /// The secret of an HS algorithm, which the issuer has too: at least 32, 48 or 64 bytes, as long as the hash.
        ///
        /// Make one with `openssl rand -hex 32`, which is long enough for each of them. It is taken as it is written
        /// here, and is never shown. Without --token-strict one byte is enough.
        secret: Option<KeyText> = Secret("secret"), Unset, NewConnections;

        /// The public key of every other algorithm, in PEM: the text itself, or the path of its file.
        public_key: Option<KeyText> = Secret("PEM or file"), Unset, NewConnections;
    }
}

choice! {
    /// An algorithm of RFC 7518 section 3.1, or EdDSA with Ed25519 (RFC 8037).
    pub enum TokenAlgorithm {
        /// HMAC with SHA-256.
        Hs256 = "HS256",
        /// HMAC with SHA-384.
        Hs384 = "HS384",
        /// HMAC with SHA-512.
        Hs512 = "HS512",
        /// RSASSA-PKCS1-v1_5 with SHA-256.
        Rs256 = "RS256",
        /// RSASSA-PKCS1-v1_5 with SHA-384.
        Rs384 = "RS384",
        /// RSASSA-PKCS1-v1_5 with SHA-512.
        Rs512 = "RS512",
        /// RSASSA-PSS with SHA-256.
        Ps256 = "PS256",
        /// RSASSA-PSS with SHA-384.
        Ps384 = "PS384",
        /// RSASSA-PSS with SHA-512.
        Ps512 = "PS512",
        /// ECDSA on P-256 with SHA-256.
        Es256 = "ES256",
        /// ECDSA on P-384 with SHA-384.
        Es384 = "ES384",
        /// Ed25519.
        EdDSA = "EdDSA",
    }
}

impl TokenAlgorithm {
    /// Every algorithm, in the order of [`TokenAlgorithm::WORDS`].
    pub const ALL: [Self; 12] = [
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDSA,
    ];

    /// Returns the name, as tokens have it.
    pub const fn name(self) -> &'static str {
        Self::WORDS[self as usize]
    }

    /// Returns the algorithm of a name. Case counts, RFC 7515 section 4.1.1.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::parse(name).ok()
    }

    /// Returns the fewest bytes of a secret, RFC 7518 section 3.2; `None` for an algorithm with a public key.
    pub const fn secret_bytes_min(self) -> Option<usize> {
        match self {
            Self::Hs256 => Some(32),
            Self::Hs384 => Some(48),
            Self::Hs512 => Some(64),
            _ => None,
        }
    }
}

/// A secret, or a public key or its path, as it was written. It is never printed, since it may be a private key.
#[derive(Clone, Eq, PartialEq)]
pub struct KeyText(String);

impl KeyText {
    /// Returns the text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Scalar for KeyText {
    fn parse(text: &str) -> Result<Self, ValueError> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText(..)")
    }
}

impl TokenKeyConfig {
    /// Returns whether it has a secret that is too short for its algorithm, RFC 7518 section 3.2.
    pub fn is_weak(&self) -> bool {
        let min = self.algorithm.secret_bytes_min().unwrap_or_default();
        self.secret.as_ref().is_some_and(|secret| secret.as_str().len() < min)
    }

    /// Checks that the key is what its algorithm needs. Returns the key of the table that is wrong, and the rule.
    pub(super) fn check(&self, is_strict: bool) -> Result<(), (&'static str, String)> {
        let algorithm = self.algorithm.name();
        let min = self.algorithm.secret_bytes_min().map(|min| if is_strict { min } else { 1 });
        match (min, &self.secret, &self.public_key) {
            (Some(min), Some(secret), None) => check_secret(algorithm, min, secret.as_str()),
            (Some(_), None, None) => Err(("secret", format!("{algorithm} needs a secret, and there is none"))),
            (None, None, Some(key)) => check_public_key(key.as_str()),
            (None, None, None) => Err(("public_key", format!("{algorithm} needs a public_key, and there is none"))),
            (Some(_), _, Some(_)) => {
                Err(("public_key", format!("{algorithm} has a secret and no public_key; leave public_key out")))
            }
            (None, Some(_), _) => {
                Err(("secret", format!("{algorithm} has a public_key and no secret; leave secret out")))
            }
        }
    }
}

fn check_secret(algorithm: &str, min: usize, secret: &str) -> Result<(), (&'static str, String)> {
    if secret.len() < min {
        let text = format!(
            "secret: {} bytes are too few for {algorithm}, which needs {min} (RFC 7518 section 3.2); make one with: \
             openssl rand -hex {min}",
            secret.len()
        );
        return Err(("secret", text));
    }
    if secret.contains("-----BEGIN") {
        let text = format!("secret: it is PEM, and {algorithm} needs a secret of its own, which nobody else knows");
        return Err(("secret", text));
    }
    Ok(())
}

fn check_public_key(key: &str) -> Result<(), (&'static str, String)> {
    if key.contains("PRIVATE KEY-----") {
        let text = "public_key: it is a private key, which belongs to the issuer of the tokens only; give its public \
                    key: openssl pkey -in FILE -pubout";
        return Err(("public_key", text.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn algorithms_have_their_names() {
        for (algorithm, word) in TokenAlgorithm::ALL.into_iter().zip(TokenAlgorithm::WORDS) {
            assert_eq!((algorithm.name(), TokenAlgorithm::of_name(word)), (*word, Some(algorithm)));
        }
        assert_eq!(TokenAlgorithm::of_name("hs256"), None);
    }

    /// What would make every token valid, or none, is found before anything runs.
    #[test]
    fn keys_that_contradict_themselves_or_each_other_are_refused() {
        let secret = "0123456789abcdef0123456789abcdef";
        for (file, expected) in [
            (
                "[[token_key]]\nalgorithm = \"HS256\"\nsecret = \"short\"".to_owned(),
                "[[token_key]] number 1: secret: 5 bytes are too few for HS256, which needs 32",
            ),
            (
                format!("[[token_key]]\nkid = \"a\"\nalgorithm = \"HS512\"\nsecret = \"{secret}\""),
                "[[token_key]] a: secret: 32 bytes are too few for HS512, which needs 64",
            ),
            (
                "[[token_key]]\nalgorithm = \"HS256\"\npublic_key = \"/key.pem\"".to_owned(),
                "HS256 has a secret and no public_key",
            ),
            (format!("[[token_key]]\nalgorithm = \"RS256\"\nsecret = \"{secret}\""), "RS256 has a public_key and no"),
            ("[[token_key]]\nalgorithm = \"ES256\"".to_owned(), "ES256 needs a public_key"),
            ("[[token_key]]\nalgorithm = \"HS256\"".to_owned(), "HS256 needs a secret"),
            (format!("[[token_key]]\nsecret = \"{secret}\""), "there is no algorithm"),
            (
                "[[token_key]]\nalgorithm = \"ES256\"\npublic_key = \"-----BEGIN EC PRIVATE KEY-----\"".to_owned(),
                "it is a private key",
            ),
            (
                "[[token_key]]\nalgorithm = \"HS256\"\nsecret = \"-----BEGIN PUBLIC KEY----- and more\"".to_owned(),
                "it is PEM",
            ),
            (
                format!("[[token_key]]\nkid = \"a\"\nalgorithm = \"HS256\"\nsecret = \"{secret}\"\n").repeat(2),
                "another table has the same",
            ),
            ("[token]\ntoken_required = true".to_owned(), "--token-required"),
            ("[token]\ntoken_audience = \"a\"".to_owned(), "--token-audience"),
            ("[token]\njwks_url = \"http://example.com/keys\"".to_owned(), "https"),
        ] {
            let error = Config::from_toml(&file).unwrap_err().to_string();
            assert!(error.contains(expected), "{file}\n{error}");
            assert!(!error.contains(secret), "{error}");
        }
        let valid = format!("[[token_key]]\nalgorithm = \"HS256\"\nsecret = \"{secret}\"\n").repeat(2);
        let config = Config::from_toml(&format!("[token]\ntoken_required = true\n{valid}")).unwrap();
        assert_eq!(config.token_keys.len(), 2);
        assert!(!format!("{config:?}").contains(secret));
    }
}
