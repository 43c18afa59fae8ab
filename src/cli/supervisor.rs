//! The supervisor: notifies systemd of what it cannot see, if there is one (`NOTIFY_SOCKET`), as sd_notify(3) says.

use crate::server::ServerHandle;
use sd_notify::NotifyState;
use tokio::time::interval;

/// Reports that connections are accepted.
pub(super) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// Reports that a reload begins. systemd compares the time with that of its own request.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the supervisor cannot be notified: there is no clock"),
    }
}

/// Reports that a reload has ended, and its result as one line for `systemctl status`.
pub(super) fn reloaded(result: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(result)]);
}

/// Reports that the hub is stopping.
pub(super) fn stopping() {
    notify(&[NotifyState::Stopping]);
    notify(&[NotifyState::Status("stopping: connections are closed after their pending messages")]);
}

/// Reports that the stop does not wait any longer.
pub(super) fn finishing() {
    notify(&[NotifyState::Status("stopping now: grace and drain time are skipped")]);
}

/// Shows that the hub works, as often as the supervisor asks for it (`WATCHDOG_USEC`), for ever. A stalled shard ends
/// that: its connections get nothing, and only a restart helps.
pub(super) async fn ping_watchdog(server: ServerHandle) {
    let Some(period) = sd_notify::watchdog_enabled().map(|period| period / 2).filter(|period| !period.is_zero()) else {
        return;
    };
    let mut ticks = interval(period);
    loop {
        ticks.tick().await;
        if !server.is_stalled() {
            notify(&[NotifyState::Watchdog]);
        }
    }
}

fn notify(state: &[NotifyState<'_>]) {
    // Without a supervisor this does nothing. One that cannot be reached does not change what the hub does.
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the supervisor cannot be notified");
    }
}
