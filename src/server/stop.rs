//! A stop: how it is requested, and the steps until the last connection is gone.

use crate::engine::nats::peers::LocalHub;
use crate::http::events::UnsentEvents;
use crate::hub::Hub;
use crate::net::socket::SocketSink;
use crate::operation::lifecycle::Stage;
use crate::operation::pace::Pace;
use crate::operation::siblings;
use crate::operation::state::State;
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// Time for the last events once every connection has ended: an application that does not answer holds up no restart.
const EVENTS_TIMEOUT: Duration = Duration::from_secs(2);

/// Time for the last heartbeat: NATS may be gone too.
const LAST_HEARTBEAT_TIMEOUT: Duration = Duration::from_millis(500);

/// How a server is asked to stop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stop {
    /// At a pace that balancers and clients can follow: `lb_grace`, then closes spread over `drain_time`.
    Paced,
    /// All closes now, for a person who waits at a terminal.
    AtOnce,
}

impl Stop {
    pub(super) fn pace(self, state: &State) -> Pace {
        let stopping = &state.settings.load().stopping;
        match self {
            Self::Paced => Pace { grace: stopping.lb_grace, time: stopping.drain_time },
            Self::AtOnce => Pace::AT_ONCE,
        }
    }
}

/// Closes the open connections and waits until they are gone, at most until the returned time. Connections that arrive
/// meanwhile are still accepted, and get 503.
pub(super) async fn drain(state: &State, pace: Pace) -> Instant {
    let rest = state.settings.load().stopping.shutdown_timeout;
    let mut deadline = Instant::now() + pace.grace + pace.time + rest;
    siblings::log_lack(state);
    let mut draining = pin!(async {
        state.lifecycle.stop(state.hub(), pace).await;
        vacated(state.hub()).await;
    });
    // Whether this took too long shows later, where the rest is waited for until the same deadline.
    tokio::select! {
        _ = timeout_at(deadline, &mut draining) => return deadline,
        () = state.lifecycle.hastened() => deadline = deadline.min(Instant::now() + rest),
    }
    drop(timeout_at(deadline, draining).await);
    deadline
}

/// Waits for connections that were accepted before the listeners were closed.
pub(super) async fn end(state: &State) {
    state.lifecycle.enter(Stage::Ending);
    state.handshakes.finished().await;
    // A handshake that began before the drain may have become a WebSocket after it.
    vacated(state.hub()).await;
}

/// Tells the other hubs that this one has ended, so that they do not wait for its answers.
pub(super) async fn leave_cluster(state: &State, local: &dyn LocalHub) {
    // Without a connection to NATS they see it by themselves, after some seconds.
    timeout(LAST_HEARTBEAT_TIMEOUT, state.engine.say_last(local)).await.ok();
}

/// Waits until the application has taken the last events.
pub(super) async fn flush_events(unsent: &UnsentEvents, deadline: Instant) {
    let until = deadline.min(Instant::now() + EVENTS_TIMEOUT);
    if timeout_at(until, unsent.sent()).await.is_err() {
        tracing::error!(events = unsent.count(), "stopped before the application had taken every event");
    }
}

/// Waits until no connection has a slot.
async fn vacated(hub: &Hub<SocketSink>) {
    loop {
        // Before the check, so that no change between the two is missed.
        let vacated = hub.placement().vacated();
        if hub.placement().taken() == 0 {
            return;
        }
        vacated.await;
    }
}
