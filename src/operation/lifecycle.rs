//! The lifecycle of the server: from serving to the end, in an order that balancers and clients can follow.
//!
//! ```text
//! Serving -> NotReady -----------> Draining --------------> Ending
//!            /health/ready is 503  new connections get 503  listeners are closed
//!            clients are served    open ones are closed
//! ```
//!
//! A drain that an operator began over the API returns to `Serving` when it is cancelled. That of a stop cannot be
//! cancelled.

use super::pace::{self, Closing, ClosingKind, Pace};
use crate::engine::nats::peers::PeerStage;
use crate::hub::Hub;
use crate::net::socket::SocketSink;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// How far the server is on its way to the end.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Stage {
    /// Everything is served.
    Serving,
    /// Balancers are told to use other hubs. Clients that still arrive are served.
    NotReady,
    /// Open connections are being closed and new ones get 503. The listeners stay open, because a refused TCP
    /// connection would not tell clients why, or when to retry.
    Draining,
    /// Every connection has ended, and none is accepted.
    Ending,
}

impl From<Stage> for PeerStage {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::Serving => Self::Serving,
            Stage::NotReady => Self::NotReady,
            Stage::Draining => Self::Draining,
            Stage::Ending => Self::Ending,
        }
    }
}

/// Why a closing cannot be started or cancelled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Conflict {
    /// Another drain or shed is in progress.
    Busy(ClosingKind),
    /// The process is stopping, which cannot be cancelled.
    Stopping,
    /// Nothing of that kind is in progress.
    Idle,
}

/// The stage, and the closing in progress.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    stage: watch::Sender<Stage>,
    task: Mutex<Option<ClosingTask>>,
    /// Whether the rest of a stop has to happen now.
    haste: watch::Sender<bool>,
}

/// A closing, and the task that runs it.
#[derive(Debug)]
struct ClosingTask {
    closing: Arc<Closing>,
    /// `None` for that of a stop, which the server awaits itself.
    handle: Option<AbortHandle>,
}

impl Lifecycle {
    pub(crate) fn new() -> Self {
        let (stage, haste) = (watch::Sender::new(Stage::Serving), watch::Sender::new(false));
        Self { stage, task: Mutex::new(None), haste }
    }

    pub(crate) fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }

    pub(crate) fn enter(&self, stage: Stage) {
        self.stage.send_replace(stage);
    }

    /// Returns the latest closing if it is of this kind, also after it has ended.
    pub(crate) fn closing(&self, kind: ClosingKind) -> Option<Arc<Closing>> {
        let task = self.task.lock();
        task.as_ref().map(|task| Arc::clone(&task.closing)).filter(|closing| closing.kind == kind)
    }

    /// Makes a stop, begun or not, skip what is left of its grace and of its pace. Connections still get their pending
    /// messages.
    pub(crate) fn hasten(&self) {
        self.haste.send_replace(true);
    }

    /// Waits for [`Lifecycle::hasten`].
    pub(crate) async fn hastened(&self) {
        // Dropped here: the returned guard would keep the value locked.
        drop(self.haste.subscribe().wait_for(|is_hasty| *is_hasty).await);
    }

    /// Drains the hub because the process stops. Ends a drain or shed that is in progress.
    pub(crate) async fn stop(&self, hub: &Hub<SocketSink>, pace: Pace) {
        let closing = self.closing_of(ClosingKind::Stop, pace, hub.placement().taken());
        let task = ClosingTask { closing: Arc::clone(&closing), handle: None };
        let replaced = self.task.lock().replace(task);
        if let Some(replaced) = replaced {
            replaced.abort();
        }
        self.drain(hub, &closing).await;
    }

    /// Begins a drain after which the process keeps running.
    pub(crate) fn begin_drain(self: &Arc<Self>, hub: &Hub<SocketSink>, pace: Pace) -> Result<(), Conflict> {
        let closing = self.closing_of(ClosingKind::Drain, pace, hub.placement().taken());
        let (this, hub, drained) = (Arc::clone(self), hub.clone(), Arc::clone(&closing));
        self.begin(closing, async move { this.drain(&hub, &drained).await })
    }

    /// Begins to close `count` connections while the hub keeps serving.
    pub(crate) fn begin_shed(&self, hub: &Hub<SocketSink>, pace: Pace, count: usize) -> Result<(), Conflict> {
        let closing = self.closing_of(ClosingKind::Shed, pace, count);
        let (hub, shed) = (hub.clone(), Arc::clone(&closing));
        self.begin(closing, async move { pace::close_evenly(&hub, &shed).await })
    }

    fn closing_of(&self, kind: ClosingKind, pace: Pace, total: usize) -> Arc<Closing> {
        Arc::new(Closing::new(kind, pace, total, self.haste.subscribe()))
    }

    fn begin(&self, closing: Arc<Closing>, task: impl Future<Output = ()> + Send + 'static) -> Result<(), Conflict> {
        let mut current = self.task.lock();
        match current.as_ref().map(|task| &task.closing) {
            Some(closing) if closing.kind == ClosingKind::Stop => return Err(Conflict::Stopping),
            // A drain that has closed everything still keeps the hub not ready, until it is cancelled.
            Some(closing) if !closing.is_over() || closing.kind == ClosingKind::Drain => {
                return Err(Conflict::Busy(closing.kind));
            }
            Some(_) | None => {}
        }
        // The caller reports the stage right away, and the task may run only later.
        if closing.kind == ClosingKind::Drain {
            self.enter(Stage::NotReady);
        }
        *current = Some(ClosingTask { closing, handle: Some(tokio::spawn(task).abort_handle()) });
        Ok(())
    }

    /// Ends a drain or a shed: no further connection is closed, and the hub is ready again.
    pub(crate) fn cancel(&self, kind: ClosingKind) -> Result<(), Conflict> {
        let mut current = self.task.lock();
        match &*current {
            Some(task) if task.closing.kind == ClosingKind::Stop => Err(Conflict::Stopping),
            Some(task) if task.closing.kind == kind => {
                task.abort();
                *current = None;
                self.enter(Stage::Serving);
                tracing::info!("{} cancelled", kind.name());
                Ok(())
            }
            Some(_) | None => Err(Conflict::Idle),
        }
    }

    async fn drain(&self, hub: &Hub<SocketSink>, closing: &Arc<Closing>) {
        // A drain by an operator that was already closing connections has told the balancers, and a hub that went back
        // to serving newcomers would only have to close them too.
        if self.stage() < Stage::Draining {
            self.advance(closing, Stage::NotReady);
            pace::log_begin(closing);
            // Also when nobody is connected: the balancer sends clients to this hub until it has noticed.
            tokio::select! {
                () = sleep(closing.pace.grace) => {}
                () = self.hastened() => {}
            }
        }
        self.advance(closing, Stage::Draining);
        // Connections came and went during the grace.
        closing.set_total(hub.placement().taken());
        pace::close_evenly(hub, closing).await;
    }

    /// Enters a stage of a closing, unless that was cancelled or replaced: an aborted task runs until its next await.
    fn advance(&self, closing: &Arc<Closing>, stage: Stage) {
        let current = self.task.lock();
        if current.as_ref().is_some_and(|task| Arc::ptr_eq(&task.closing, closing)) {
            self.enter(stage);
        }
    }
}

impl ClosingTask {
    fn abort(&self) {
        if let Some(handle) = &self.handle {
            handle.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::metrics::Metrics;

    /// A cancelled drain that still moved the stage would leave a hub that refuses everything and has nothing to
    /// cancel.
    #[tokio::test]
    async fn cancelled_drain_moves_the_stage_no_further() {
        let config = Config::default().complete(1, 100).unwrap();
        let metrics = Arc::new(Metrics::new(config.shards()));
        let (hub, _shards) = Hub::tuned(&config.limits, &config.tuning, metrics);
        let lifecycle = Arc::new(Lifecycle::new());
        lifecycle.begin_drain(&hub, Pace::AT_ONCE).unwrap();
        assert_eq!(lifecycle.stage(), Stage::NotReady);
        assert_eq!(lifecycle.begin_shed(&hub, Pace::AT_ONCE, 1), Err(Conflict::Busy(ClosingKind::Drain)));
        let drain = lifecycle.closing(ClosingKind::Drain).unwrap();
        lifecycle.advance(&drain, Stage::Draining);
        assert_eq!(lifecycle.stage(), Stage::Draining);
        lifecycle.cancel(ClosingKind::Drain).unwrap();
        lifecycle.advance(&drain, Stage::Draining);
        assert_eq!(lifecycle.stage(), Stage::Serving);
        assert_eq!(lifecycle.cancel(ClosingKind::Drain), Err(Conflict::Idle));
    }
}
