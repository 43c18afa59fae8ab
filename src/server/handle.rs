//! A steering: what may be seen and changed of a server that runs.

use crate::config::{Config, reload};
use crate::net::tls;
use crate::operation::state::State;
use std::sync::Arc;
use std::time::SystemTime;

/// A handle to a running server.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    state: Arc<State>,
}

impl ServerHandle {
    pub(crate) fn new(state: Arc<State>) -> Self {
        Self { state }
    }

    /// Returns the number of HTTP connections that are open, handshakes in progress among them.
    pub fn handshakes(&self) -> u64 {
        self.state.handshakes.len()
    }

    /// Shows what the certificate's files hold now to who comes from here on.
    fn read_certificate_again(&self, config: &Config) -> Result<(), tls::TlsError> {
        let Some(certificates) = &self.state.certificates else { return Ok(()) };
        // Without files no address will be encrypted after the restart; until then those of the start hold.
        let Some((certificate, key)) = config.tls.files() else { return Ok(()) };
        let certificate = tls::load(certificate, key)?;
        let now = SystemTime::now();
        certificate.check_time(now)?;
        certificate.announce(now);
        certificates.replace(certificate);
        Ok(())
    }

    /// Lets new settings take effect, for who is connected and who comes; those that need a restart stay as they are.
    ///
    /// # Errors
    ///
    /// What can not be used; nothing is changed then.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: some shards may have learned of new limits and others not.
    pub async fn reconfigure(&self, config: &Config) -> Result<(), String> {
        let state = &self.state;
        let config = reload::merge(&state.settings.load(), config);
        self.read_certificate_again(&config).map_err(|error| error.to_string())?;
        state.memory.set_max(config.admission.memory_max);
        let limits = Arc::new(config.limits.clone());
        state.settings.store(Arc::new(config));
        state.hub.reconfigure(&limits);
        for shard in 0..state.hub.shards() {
            // An inbox is never closed.
            let Ok(credit) = state.hub.inbox(shard).take(1).await else { return Ok(()) };
            state.hub.tell_limits(shard, &limits, credit);
        }
        Ok(())
    }
}
