//! The check of a backend's key, in constant time so that it does not reveal how close a guess was, and the scopes of
//! the key.

use super::operator_key::{KeyStatus, WrongKeys};
use crate::config::{ApiScope, Config};
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

/// A set of scopes, one bit each.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Scopes(u8);

impl Scopes {
    pub(crate) const ALL: Self = Self(u8::MAX);

    fn of(scopes: &[ApiScope]) -> Self {
        Self(scopes.iter().fold(0, |bits, scope| bits | Self::bit(*scope)))
    }

    const fn bit(scope: ApiScope) -> u8 {
        1 << scope as u8
    }

    /// Returns whether the scope is one of the set.
    pub(crate) const fn contain(self, scope: ApiScope) -> bool {
        self.0 & Self::bit(scope) != 0
    }
}

/// Checks keys, and limits how many wrong ones can be tried.
#[derive(Debug)]
pub(crate) struct ApiKeyCheck {
    wrong: WrongKeys,
}

impl ApiKeyCheck {
    pub(crate) fn new() -> Self {
        Self { wrong: WrongKeys::new() }
    }

    /// Compares a key with every known one, also after a match, by digests of equal length. A request without a key is
    /// no guess and does not count as one.
    pub(crate) fn check(&self, given: &[u8], config: &Config) -> Result<Scopes, KeyStatus> {
        let full = config.api.api_keys.iter().map(|key| (key, Scopes::ALL));
        let partial = config.api_key_tables.iter().map(|table| (&table.key, Scopes::of(&table.scopes)));
        let mut known = full.chain(partial).peekable();
        if known.peek().is_none() {
            return Err(KeyStatus::NoKeys);
        }
        if given.is_empty() {
            return Err(KeyStatus::Wrong);
        }
        let given = Sha256::digest(given);
        let found = known.fold((0, 0), |(is_found, scopes): (u8, u8), (key, own)| {
            let is_equal = given.ct_eq(&Sha256::digest(key.secret().as_bytes()));
            (is_found | is_equal.unwrap_u8(), scopes | u8::conditional_select(&0, &own.0, is_equal))
        });
        match found {
            (0, _) => Err(self.wrong.count()),
            (_, scopes) => Ok(Scopes(scopes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let text = "[api]\napi_keys = [\"everything-12\"]\n[[api_key]]\nkey = \"publisher-12\"\n\
            scopes = [\"publish\"]\n[[api_key]]\nkey = \"nothing-at-all\"\nscopes = []\n";
        Config::from_toml(text).unwrap()
    }

    #[test]
    fn key_has_the_scopes_of_its_table_and_one_of_the_list_has_all() {
        let check = ApiKeyCheck::new();
        for (key, expected) in [
            ("everything-12", [true, true, true]),
            ("publisher-12", [true, false, false]),
            ("nothing-at-all", [false; 3]),
        ] {
            let scopes = check.check(key.as_bytes(), &config()).unwrap();
            let found = [ApiScope::Publish, ApiScope::Read, ApiScope::Manage].map(|scope| scopes.contain(scope));
            assert_eq!(found, expected, "{key}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn wrong_keys_are_refused_and_only_so_many_can_be_tried() {
        let check = ApiKeyCheck::new();
        for wrong in ["", "everything-1", "everything-123", "Everything-12"] {
            assert_eq!(check.check(wrong.as_bytes(), &config()), Err(KeyStatus::Wrong), "{wrong:?}");
        }
        let tried = (0..20).map(|_| check.check(b"guess", &config())).collect::<Vec<_>>();
        assert_eq!(tried.last(), Some(&Err(KeyStatus::TooMany)));
        assert_eq!(check.check(b"guess", &Config::default()), Err(KeyStatus::NoKeys));
        assert!(check.check(b"publisher-12", &config()).is_ok(), "a right key works meanwhile");
    }
}
