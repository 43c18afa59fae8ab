//! A reload, by SIGHUP: reads all settings again and applies them, or changes nothing if one cannot be used.

use super::logging::Level;
use super::supervisor;
use crate::config::source::Value;
use crate::config::tables::TableValue;
use crate::config::{LoadError, Sources, reload};
use crate::server::ServerHandle;
use thiserror::Error;
use tokio::signal::unix::Signal;

/// What a reload needs from the start, or from the last reload.
#[derive(Debug)]
pub(super) struct Reloading {
    pub(super) sources: Sources,
    pub(super) values: Vec<Value>,
    pub(super) tables: Vec<TableValue>,
    pub(super) level: Level,
}

/// Why a SIGHUP changed nothing.
#[derive(Debug, Error)]
enum SighupError {
    #[error("{}", .0.to_string().trim().replace('\n', "; "))]
    Load(#[from] LoadError),
    #[error("{reason}")]
    Server { reason: String },
}

impl Reloading {
    /// Reloads after every signal, until the process ends.
    pub(super) async fn run(mut self, mut hangups: Signal, server: ServerHandle) {
        while hangups.recv().await.is_some() {
            supervisor::reloading();
            match self.reload(&server).await {
                Ok(status) => supervisor::reloaded(&status),
                Err(error) => {
                    tracing::error!("reload: nothing is changed: {error}");
                    supervisor::reloaded(&format!("the last reload changed nothing: {error}"));
                }
            }
        }
    }

    /// Returns what it has done, in one line.
    async fn reload(&mut self, server: &ServerHandle) -> Result<String, SighupError> {
        let loaded = self.sources.load()?;
        let (mut applied, waiting) = reload::changes(&self.values, &loaded.values);
        applied.extend(reload::table_changes(&self.tables, &loaded.tables));
        let applied_by_server = server.reconfigure(&loaded.config).await;
        applied_by_server.map_err(|error| SighupError::Server { reason: error.to_string() })?;
        self.level.set(&loaded.config.logging.log);
        for change in &applied {
            tracing::info!("reload: {change}");
        }
        for change in &waiting {
            tracing::warn!("reload: {change} needs a restart; the old value stays");
        }
        if applied.is_empty() && waiting.is_empty() {
            tracing::info!("reload: no setting has changed");
        }
        // A change that waits for a restart is logged again by every reload until then.
        let waits = |new: &Value| self.values.iter().find(|old| old.key == new.key && reload::needs_restart(old.key));
        self.values = loaded.values.iter().map(|new| waits(new).unwrap_or(new).clone()).collect();
        self.tables = loaded.tables;
        let (applied, waiting) = (applied.len(), waiting.len());
        Ok(format!("reloaded: {applied} settings changed, {waiting} need a restart"))
    }
}
