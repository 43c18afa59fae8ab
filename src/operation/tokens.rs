//! The tokens of the server: the rules and keys of the settings, the keys that were fetched, and when to fetch again.

use crate::auth::{Claims, KeyError, TokenError, TokenKey, Verifier};
use crate::config::Config;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Shortest time between two fetches: tokens with invented key IDs must not become requests to the issuer.
const FETCH_PAUSE: Duration = Duration::from_secs(10);

/// Time between two warnings that anyone may be anyone.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// Verifies tokens, and knows when keys are missing.
#[derive(Debug)]
pub(crate) struct Tokens {
    verifier: ArcSwap<Verifier>,
    fetched: ArcSwap<Vec<TokenKey>>,
    /// `None` without a `jwks_url`.
    fetch: Option<Mutex<Fetch>>,
    wanted: Notify,
}

/// The state of fetching keys.
#[derive(Debug)]
struct Fetch {
    /// One is in progress, or the first one is about to begin.
    is_running: bool,
    has_succeeded: bool,
    ended: Instant,
}

impl Tokens {
    /// Reads the keys of the settings.
    ///
    /// # Errors
    ///
    /// [`KeyError`] names the first key that cannot be used.
    pub(crate) fn new(config: &Config) -> Result<Self, KeyError> {
        let fetch = Fetch { is_running: true, has_succeeded: false, ended: Instant::now() };
        Ok(Self {
            verifier: ArcSwap::from_pointee(Verifier::new(&config.tokens, &config.token_keys)?),
            fetched: ArcSwap::default(),
            fetch: config.tokens.jwks_url.is_some().then(|| Mutex::new(fetch)),
            wanted: Notify::new(),
        })
    }

    /// Takes the rules and keys of new settings; keys that were fetched stay.
    pub(crate) fn replace(&self, verifier: Verifier) {
        self.verifier.store(verifier.into());
    }

    /// Returns whether tokens are looked at. Without keys they are ignored, as proxies may add theirs to every request.
    pub(crate) fn are_used(&self) -> bool {
        self.verifier.load().is_configured()
    }

    /// Verifies a token at this moment.
    ///
    /// # Errors
    ///
    /// [`TokenError`] says what is wrong with it.
    pub(crate) fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        self.verifier.load().verify(&self.fetched.load(), token, unix_seconds())
    }

    /// Asks for a fetch because a token names a key that is not known. Returns whether the key may be there soon: a
    /// fetch runs or begins now, or none has succeeded yet.
    pub(crate) fn request_fetch(&self) -> bool {
        let Some(fetch) = &self.fetch else { return false };
        let mut fetch = fetch.lock();
        if fetch.is_running {
            return true;
        }
        if fetch.ended.elapsed() >= FETCH_PAUSE {
            fetch.is_running = true;
            self.wanted.notify_one();
            return true;
        }
        !fetch.has_succeeded
    }

    /// Waits until a fetch is asked for.
    pub(crate) async fn fetch_requested(&self) {
        self.wanted.notified().await;
    }

    /// Notes that a fetch begins.
    pub(crate) fn begin_fetch(&self) {
        if let Some(fetch) = &self.fetch {
            fetch.lock().is_running = true;
        }
    }

    /// Notes that a fetch has ended, and takes its keys. Without keys the old ones stay.
    pub(crate) fn end_fetch(&self, keys: Option<Vec<TokenKey>>) {
        let Some(fetch) = &self.fetch else { return };
        let mut fetch = fetch.lock();
        (fetch.is_running, fetch.ended) = (false, Instant::now());
        if let Some(keys) = keys {
            fetch.has_succeeded = true;
            // Before the lock is released: a thread that sees the end of the fetch sees its keys too.
            self.fetched.store(keys.into());
        }
    }
}

/// Warns at once and every minute, for ever, that tokens are not verified.
pub(crate) async fn warn_of_insecure_tokens() {
    let mut warnings = interval(WARNING_INTERVAL);
    warnings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        warnings.tick().await;
        tracing::warn!(
            "--token-insecure: the signatures of tokens are not checked, so every client may be who it says it is; \
             never use it outside of development"
        );
    }
}

/// Returns the time as tokens have it, in seconds since the Unix epoch.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/threats.md, row 37: invented key IDs cause one fetch in ten seconds at most, and a client is told to come
    /// back only if that can help.
    #[tokio::test(start_paused = true)]
    async fn unknown_keys_cause_one_fetch_at_a_time() {
        let mut config = Config::default();
        config.tokens.jwks_url = Some("http://127.0.0.1:1/".parse().unwrap());
        let tokens = Tokens::new(&config).unwrap();
        assert!(tokens.request_fetch(), "the first one is about to begin");
        tokens.begin_fetch();
        tokens.end_fetch(None);
        assert!(tokens.request_fetch(), "no key is known yet");
        tokio::time::advance(FETCH_PAUSE).await;
        assert!(tokens.request_fetch());
        tokio::time::timeout(Duration::ZERO, tokens.fetch_requested()).await.expect("it is asked for");
        assert!(tokens.request_fetch(), "it runs");
        assert!(tokio::time::timeout(Duration::ZERO, tokens.fetch_requested()).await.is_err(), "and only once");
        tokens.end_fetch(Some(Vec::new()));
        assert!(!tokens.request_fetch(), "it has just ended, without the key");
        tokio::time::advance(FETCH_PAUSE).await;
        assert!(tokens.request_fetch());
    }

    /// Without an address there is nothing to fetch.
    #[tokio::test]
    async fn unknown_key_is_final_without_a_key_set() {
        assert!(!Tokens::new(&Config::default()).unwrap().request_fetch());
    }
}
