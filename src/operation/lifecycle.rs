//! A lifecycle: from serving to the end, in an order that balancers and clients can follow.
//!
//! ```text
//! Serving -> Leaving -> Draining -> Ending
//!            not ready   503 for newcomers   nobody is accepted
//!            newcomers   connections close
//!            are served  evenly
//! ```
//!
//! A drain that an operator began over the API goes back to `Serving` when it is cancelled; that of a stop does not.

use super::pace::{self, Closing, Kind, Pace};
use crate::hub::Hub;
use crate::net::socket::SocketSink;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// How far the end of a server has come.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Stage {
    /// Everything is served.
    Serving,
    /// Balancers are told to look elsewhere; who comes meanwhile is served.
    NotReady,
    /// Nobody new is let in, and connections are closed after their backlog. Who asks meanwhile is told so, which a
    /// closed door would not do.
    Draining,
    /// They have ended. Nobody is accepted.
    Ending,
}

/// Why a request to begin or to end something can not be met.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Conflict {
    /// A drain or a shed is under way.
    Busy(Kind),
    /// The hub stops, which is not taken back.
    Stopping,
    /// Nothing of that kind is under way.
    Idle,
}

/// The stage, and what is being closed.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    stage: watch::Sender<Stage>,
    work: Mutex<Option<Work>>,
}

/// A closing that an operator began, or the stop's.
#[derive(Debug)]
struct Work {
    closing: Arc<Closing>,
    /// The task behind it; `None` of the stop's, which the server awaits itself.
    task: Option<AbortHandle>,
}

impl Lifecycle {
    pub(crate) fn new() -> Self {
        Self { stage: watch::Sender::new(Stage::Serving), work: Mutex::new(None) }
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

    /// Returns the last closing of a kind, under way or over.
    pub(crate) fn closing(&self, kind: Kind) -> Option<Arc<Closing>> {
        let work = self.work.lock();
        work.as_ref().map(|work| Arc::clone(&work.closing)).filter(|closing| closing.kind == kind)
    }

    /// Closes every connection as the stop of the process does it; whatever was under way makes way for it.
    pub(crate) async fn stop(self: &Arc<Self>, hub: &Hub<SocketSink>, pace: Pace) {
        let closing = Arc::new(Closing::new(Kind::Stop, pace, hub.placement().taken()));
        if let Some(before) = self.work.lock().replace(Work { closing: Arc::clone(&closing), task: None }) {
            before.cancel();
        }
        self.drain(hub, &closing).await;
    }

    /// Begins a drain that does not end the process.
    pub(crate) fn begin_drain(self: &Arc<Self>, hub: &Hub<SocketSink>, pace: Pace) -> Result<Arc<Closing>, Conflict> {
        let closing = Arc::new(Closing::new(Kind::Drain, pace, hub.placement().taken()));
        let (this, hub, drained) = (Arc::clone(self), hub.clone(), Arc::clone(&closing));
        self.begin(Arc::clone(&closing), async move { this.drain(&hub, &drained).await })?;
        // From the first moment on, not when the task comes to run.
        self.enter(Stage::NotReady);
        Ok(closing)
    }

    /// Moves that many connections away and serves on.
    pub(crate) fn begin_shed(
        self: &Arc<Self>,
        hub: &Hub<SocketSink>,
        pace: Pace,
        count: usize,
    ) -> Result<Arc<Closing>, Conflict> {
        let closing = Arc::new(Closing::new(Kind::Shed, pace, count));
        let (hub, shed) = (hub.clone(), Arc::clone(&closing));
        self.begin(Arc::clone(&closing), async move { pace::close_evenly(&hub, &shed).await })?;
        Ok(closing)
    }

    fn begin(&self, closing: Arc<Closing>, task: impl Future<Output = ()> + Send + 'static) -> Result<(), Conflict> {
        let mut work = self.work.lock();
        match &*work {
            Some(Work { closing, .. }) if closing.kind == Kind::Stop => return Err(Conflict::Stopping),
            // A finished drain still holds until it is cancelled: the hub is not ready.
            Some(Work { closing, .. }) if !closing.is_over() || closing.kind == Kind::Drain => {
                return Err(Conflict::Busy(closing.kind));
            }
            _ => {}
        }
        *work = Some(Work { closing, task: Some(tokio::spawn(task).abort_handle()) });
        Ok(())
    }

    /// Ends a drain or a shed: nobody more is closed, and the hub is ready again.
    pub(crate) fn cancel(&self, kind: Kind) -> Result<(), Conflict> {
        let mut work = self.work.lock();
        match &*work {
            Some(Work { closing, .. }) if closing.kind == Kind::Stop => Err(Conflict::Stopping),
            Some(Work { closing, .. }) if closing.kind == kind => {
                work.take().as_ref().map(Work::cancel);
                self.enter(Stage::Serving);
                tracing::info!("{} cancelled", kind.name());
                Ok(())
            }
            _ => Err(Conflict::Idle),
        }
    }

    /// Leaves the balancer, waits for it, lets nobody in any more, and closes everybody.
    async fn drain(&self, hub: &Hub<SocketSink>, closing: &Closing) {
        self.enter(Stage::NotReady);
        // Nobody is there whom a balancer could have sent: who stops an empty hub does not wait.
        if closing.kind == Kind::Drain || hub.placement().taken() > 0 {
            sleep(closing.pace.grace).await;
        }
        self.enter(Stage::Draining);
        closing.begin_closing(hub.placement().taken());
        pace::close_evenly(hub, closing).await;
    }
}

impl Work {
    fn cancel(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
