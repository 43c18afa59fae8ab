//! A server handle: what can be observed and changed while a server runs.

use super::error::ReloadError;
use crate::auth::Verifier;
use crate::config::{Config, reload};
use crate::http::hooks::HttpHooks;
use crate::hub::Command;
use crate::net::tls::{self, TlsError};
use crate::operation::state::State;
use crate::operation::tell::tell_all;
use std::sync::Arc;
use std::time::SystemTime;

/// A handle to a running server, which outlives the call of [`Server::run`](super::Server::run).
#[derive(Clone, Debug)]
pub struct ServerHandle {
    state: Arc<State>,
    hooks: Arc<HttpHooks>,
}

impl ServerHandle {
    pub(super) fn new(state: Arc<State>, hooks: Arc<HttpHooks>) -> Self {
        Self { state, hooks }
    }

    /// Returns the number of open HTTP connections, handshakes in progress included.
    pub fn handshakes(&self) -> u64 {
        self.state.handshakes.len()
    }

    /// Returns the number of WebSocket connections, those in their handshake included.
    pub fn connections(&self) -> usize {
        self.state.hub().placement().taken()
    }

    /// Returns whether a shard has work and makes no pass, so that its connections get nothing.
    pub fn is_stalled(&self) -> bool {
        self.state.watchdog.is_stalled()
    }

    /// Makes a stop skip what is left of its grace and of its pace. Every connection still gets its pending messages.
    pub fn hasten_stop(&self) {
        self.state.lifecycle.hasten();
    }

    /// Applies new settings to open and future connections. Settings that need a restart keep their value.
    ///
    /// # Errors
    ///
    /// [`ReloadError`] says which setting cannot be used. Nothing is changed then.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: some shards may have the new limits and others not.
    pub async fn reconfigure(&self, config: &Config) -> Result<(), ReloadError> {
        let state = &self.state;
        let config = reload::merge(&state.settings.load(), config);
        // The steps that can fail come first, so that an error changes nothing.
        let verifier = Verifier::new(&config.tokens, &config.token_keys)?;
        self.reload_certificate(&config)?;
        state.tokens.replace(verifier);
        self.hooks.configure(&config.hooks);
        state.memory.set_max(config.admission.memory_max);
        let namespaces = state.namespaces.load().replaced_by(&config.default_namespace, &config.namespaces);
        state.namespaces.store(Arc::new(namespaces));
        let (limits, sockets) = (Arc::new(config.limits.clone()), config.sockets.clone());
        state.settings.store(Arc::new(config));
        state.hub().set_socket_limits(sockets);
        state.hub().reconfigure(&limits);
        let namespaces = state.namespaces.load();
        state.hub().follow_options(|name| {
            let options = namespaces.of(name.as_str()).ok().filter(|_| !name.is_private());
            options.map(Arc::clone)
        });
        tell_all(state.hub(), || Command::Limits(Arc::clone(&limits))).await;
        Ok(())
    }

    /// Reads the certificate's files again, for future handshakes.
    fn reload_certificate(&self, config: &Config) -> Result<(), TlsError> {
        let Some(certificates) = &self.state.certificates else { return Ok(()) };
        // Settings without a certificate take effect at the restart, together with their addresses.
        let Some((certificate, key)) = config.tls.files() else { return Ok(()) };
        let certificate = tls::load(certificate, key)?;
        let now = SystemTime::now();
        certificate.check_time(now)?;
        certificate.announce(now);
        certificates.replace(certificate);
        Ok(())
    }
}
