//! The supervisor: notifies systemd of what it cannot see, if there is one (`NOTIFY_SOCKET`).

use sd_notify::NotifyState;

/// Reports that connections are accepted.
pub(super) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// Reports that the hub is stopping.
pub(super) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

fn notify(state: &[NotifyState<'_>]) {
    // Without a supervisor this does nothing. One that cannot be reached does not change what the hub does.
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the supervisor cannot be notified");
    }
}
