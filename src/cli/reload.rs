//! A reload: what SIGHUP does. All of it or nothing: settings that can not be used change nothing.

use super::logging::Level;
use crate::config::source::Value;
use crate::config::{LoadError, Sources, reload};
use crate::server::ServerHandle;
use tokio::signal::unix::Signal;

/// What a reload needs to know of the start, or of the last one.
#[derive(Debug)]
pub(super) struct Reloading {
    pub(super) sources: Sources,
    pub(super) values: Vec<Value>,
    pub(super) level: Level,
}

impl Reloading {
    /// Reloads with every signal, for ever.
    pub(super) async fn run(mut self, mut hangups: Signal, steering: ServerHandle) {
        while hangups.recv().await.is_some() {
            if let Err(error) = self.reload(&steering).await {
                tracing::error!("reload: nothing is changed: {error}");
            }
        }
    }

    async fn reload(&mut self, steering: &ServerHandle) -> Result<(), String> {
        let said = |error: LoadError| error.to_string().trim().replace('\n', "; ");
        let loaded = self.sources.load().map_err(said)?;
        let level = Level::parse(&loaded.config.logging.log)?;
        let (taken, waiting) = reload::changes(&self.values, &loaded.values);
        steering.reconfigure(&loaded.config).await.map_err(|error| error.to_string())?;
        self.level.set(level);
        for change in &taken {
            tracing::info!("reload: {change}");
        }
        for change in &waiting {
            tracing::warn!("reload: {change} needs a restart; the old value holds");
        }
        if taken.is_empty() && waiting.is_empty() {
            tracing::info!("reload: no setting has changed");
        }
        // What waits is said with every reload, until the restart.
        let was = |new: &Value| self.values.iter().find(|old| old.key == new.key && reload::needs_restart(&old.key));
        self.values = loaded.values.iter().map(|new| was(new).unwrap_or(new).clone()).collect();
        Ok(())
    }
}
