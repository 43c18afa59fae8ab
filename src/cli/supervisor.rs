//! The supervisor: systemd is told what it can not see, if it is there (`NOTIFY_SOCKET`).

use sd_notify::NotifyState;

/// Connections are accepted.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The end has begun.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState<'_>]) {
    // Without a supervisor nothing is said; one that can not be reached does not change what the hub does.
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the supervisor can not be told");
    }
}
